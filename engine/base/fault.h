// Faults that tests inject, read once from the environment variable CPAWAY_FAULT:
//
//   CPAWAY_FAULT=damage_block=2,delay_reply_ms=100
//
// A point is a name with a count or a value; unknown names are an error, so that a test with a
// misspelt fault cannot pass. Without the variable every point is off and costs one atomic load.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "engine/base/result.h"

namespace cpaway::fault {

struct Points {
  // Damages this many blocks between receive and disk; -1 damages every one.
  std::atomic<int64_t> damage_block{0};
  // Every answer of the agent is held back by this many milliseconds.
  std::atomic<int64_t> delay_reply_ms{0};
};

[[nodiscard]] Points& points();
[[nodiscard]] Status parse(std::string_view spec);
// Reads CPAWAY_FAULT; call once at start.
[[nodiscard]] Status load_from_environment();
// True where the point is armed; counts one down unless it is -1.
[[nodiscard]] bool take(std::atomic<int64_t>& point);

}  // namespace cpaway::fault
