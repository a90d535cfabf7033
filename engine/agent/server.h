// The agent's side of one connection: reads requests, has them done, writes answers.
//
// Threads: the caller's thread is the reader. It cuts frames, does quick requests itself in their
// order, and gives the others to a pool of kPoolThreads, where the requests on one handle or one
// transfer keep their order (Strand). Requests that wait for the pool hold kMaxQueuedBytes at most;
// the reader stops reading meanwhile. Answers leave as they are ready, in any order.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/agent/byte_budget.h"
#include "engine/agent/context.h"
#include "engine/agent/dispatch.h"
#include "engine/agent/reply_writer.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {

inline constexpr size_t kPoolThreads = 4;
inline constexpr size_t kMaxQueuedBytes = 32UL << 20U;

struct Options {
  std::string confine;  // --root; "" for none
  Mode mode = Mode::unrestricted;
  // A client that holds locks and is silent for so long is dead; mounts are heard every 10 s.
  int lock_lease_ms = 60'000;
};

class Server {
 public:
  // The descriptors stay the caller's; `in` and `out` may be one.
  Server(int in, int out, Options options);
  // Finishes what was read; the staging files of transfers that are still open stay.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Prints the start marker and serves until the client closes its end. Errc::protocol or
  // Errc::version where the client is not one of ours; an os error where reading fails;
  // Errc::timeout or Errc::cancelled where a client with locks is silent or has another agent by
  // now.
  [[nodiscard]] Status run();

 private:
  [[nodiscard]] Result<bool> read_frames();
  [[nodiscard]] Status wait_while_locked();
  void answer(wire::Frame frame);
  [[nodiscard]] Status take_input(ByteSpan bytes);
  [[nodiscard]] Status take_frames();
  [[nodiscard]] Status take_request(wire::Incoming request);
  [[nodiscard]] Status take_hello(const wire::Incoming& request);
  void hand_over(const Route& route, wire::Incoming request);
  [[nodiscard]] std::optional<Strand> find_strand(const Route& route,
                                                  const wire::Incoming& request);

  const int in_;
  const Options options_;
  wire::FrameReader frames_;
  Bytes input_;  // what one read brought beyond the frame it was meant for
  ReplyWriter replies_;
  ByteBudget queued_{kMaxQueuedBytes};
  // The executor is destroyed first, which finishes its jobs; the context's tables know it.
  std::unique_ptr<Context> context_;  // once hello was accepted
  std::unique_ptr<Executor> executor_;
};

}  // namespace cpaway::agent
