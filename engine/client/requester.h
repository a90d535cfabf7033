// Sending requests to the agent, as everything above sees it: asynchronous, answered once each.
#pragma once

#include <functional>
#include <utility>

#include "engine/wire/pack.h"

namespace cpaway::client {

// Interactive requests never queue behind bulk ones. Within one priority, order is kept on the way
// to the agent.
enum class Priority { interactive, bulk };

class Requester {
 public:
  // The answer: a reply's or an ack's frame, or why there is none.
  using Done = std::function<void(Result<wire::Incoming>)>;

  virtual ~Requester() = default;

  // Any thread. `done` is called exactly once, on the I/O thread (never inside submit): it must not
  // block, compute for long, or wait for another answer. The id in `frame` is set here.
  virtual void submit(wire::Frame frame, Priority priority, Done done) = 0;
};

// An answer with the bulk data behind its fields; `bulk` points into `frame`.
template <class Answer>
struct WithBulk {
  Answer answer;
  ByteSpan bulk;
  wire::Incoming frame;
};

template <class Answer>
[[nodiscard]] Result<WithBulk<Answer>> open_answer(Result<wire::Incoming> incoming) {
  if (!incoming) {
    return fail(std::move(incoming).error());
  }
  WithBulk<Answer> out;
  out.frame = std::move(*incoming);
  ByteSpan body = out.frame.body();
  if (out.frame.op == wire::Op::reply) {
    CPAWAY_ASSIGN(body, wire::open_reply(body));
  }
  CPAWAY_ASSIGN(out.answer, wire::unpack<Answer>(body, &out.bulk));
  return out;
}

// call(agent, GetAttr{...}, [](Result<Attr> attr) {...}): for answers without bulk data.
template <class Request, class Callback>
void call(Requester& agent, const Request& request, Callback done, SharedBytes bulk = nullptr,
          Priority priority = Priority::interactive) {
  agent.submit(wire::pack(0, request, std::move(bulk)), priority,
               [done = std::move(done)](Result<wire::Incoming> incoming) mutable {
                 auto opened = open_answer<typename Request::Answer>(std::move(incoming));
                 if (!opened) {
                   done(Result<typename Request::Answer>(fail(std::move(opened).error())));
                 } else if (!opened->bulk.empty()) {
                   done(Result<typename Request::Answer>(
                       fail(Errc::protocol, "answer longer than its fields")));
                 } else {
                   done(Result<typename Request::Answer>(std::move(opened->answer)));
                 }
               });
}

// The same for answers with bulk data: done(Result<WithBulk<Answer>>).
template <class Request, class Callback>
void call_bulk(Requester& agent, const Request& request, Callback done,
               Priority priority = Priority::interactive) {
  agent.submit(wire::pack(0, request), priority,
               [done = std::move(done)](Result<wire::Incoming> incoming) mutable {
                 done(open_answer<typename Request::Answer>(std::move(incoming)));
               });
}

}  // namespace cpaway::client
