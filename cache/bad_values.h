// Counts values that did not decode. One is forgotten alone; a second condemns the store, which
// the writer sees to. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

namespace cpaway::cache {

class BadValues {
 public:
  void add() { ++count_; }
  void clear() { count_ = 0; }
  [[nodiscard]] bool too_many() const { return count_ > 1; }

 private:
  std::atomic<uint32_t> count_{0};
};

}  // namespace cpaway::cache
