// A moment after which to give up. Time that a person spends on a prompt is given back.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/clock.h"

namespace cpaway::transport {

class Deadline {
 public:
  explicit Deadline(int64_t timeout_ms) : end_ms_(system_clock().now_ms() + timeout_ms) {}

  // Never negative, and small enough for poll(2).
  [[nodiscard]] int left_ms() const {
    return static_cast<int>(std::clamp<int64_t>(end_ms_ - system_clock().now_ms(), 0, 1 << 30));
  }
  [[nodiscard]] bool passed() const { return left_ms() == 0; }
  void extend(int64_t by_ms) { end_ms_ += by_ms; }

 private:
  int64_t end_ms_;
};

}  // namespace cpaway::transport
