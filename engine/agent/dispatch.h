// Which function answers which operation, what it does to files, and where it runs.
#pragma once

#include "engine/agent/context.h"
#include "engine/agent/mode.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {

// Whose order a request keeps, where the first field of its body names something in the tables.
enum class Order : uint8_t { none, of_handle, of_transfer };
// Where it runs otherwise: at once on the reader, or on any thread of the pool.
enum class Place : uint8_t { reader, pool };

struct Route {
  wire::Op op;
  uint8_t effects;  // kReadsContent, kWrites, kRemoves (mode.h)
  Order order;
  Place place;
  // The answer's frame, good or bad; never throws anything of ours. Empty: it comes later.
  wire::Frame (*answer)(Context& context, const wire::Incoming& request);
};

// Null for what no client may send after hello: hello itself, ack, reply.
[[nodiscard]] const Route* find_route(wire::Op op);
// Runs the request where the connection's mode allows it, and turns whatever happens to a frame.
[[nodiscard]] wire::Frame run_route(const Route& route, Context& context,
                                    const wire::Incoming& request);

}  // namespace cpaway::agent
