// Time as code under test sees it: monotonic milliseconds from a source that tests replace.
#pragma once

#include <cstdint>

namespace cpaway {

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual int64_t now_ms() const = 0;  // monotonic; the origin means nothing
};

// The system's CLOCK_MONOTONIC. Lives for ever.
[[nodiscard]] const Clock& system_clock();

}  // namespace cpaway
