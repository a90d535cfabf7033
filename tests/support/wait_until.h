// Waiting on a condition, never for a time.
#pragma once

#include <chrono>
#include <thread>

namespace cpaway::testing {

// True as soon as `condition` holds, false where it does not within `timeout_ms`.
template <class Condition>
[[nodiscard]] bool wait_until(Condition condition, int timeout_ms = 10'000) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace cpaway::testing
