// Requests whose connection broke before their answer came.
//
// Whether the agent has carried such a request out nobody knows. Those that do no harm the second
// time are sent again as they are. Those that would fail because of their own first time (mkdir:
// EEXIST) are sent again too, and that failure is then looked at: what is there is taken for
// theirs, as NFS clients do. Transfers are not repeated here: upload knows what they need.
#pragma once

#include <optional>

#include "engine/client/requester.h"

namespace cpaway::client {

// True for a request that the session itself sends again.
[[nodiscard]] bool may_repeat(wire::Op op);

// What the answer to a repeated request means.
struct Reading {
  // The request to send instead, whose answer is the answer.
  std::optional<wire::Frame> ask;
  // The answer instead of the one that came.
  std::optional<wire::Incoming> answer;
};
// `request` was sent twice and `answer` is that of the second time; neither field set: it counts.
[[nodiscard]] Reading read_repeated(const wire::Frame& request, const wire::Incoming& answer);

}  // namespace cpaway::client
