// Whether an open store is still good. A value that does not decode is forgotten alone; a second
// one, or what LMDB reports as damage, condemns the store, which the writer then replaces. Belongs
// to one Database: what a late reader sees of an old store says nothing of the new one.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

namespace cpaway::cache {

class Health {
 public:
  void add_bad_value() { ++bad_values_; }
  void condemn() { bad_values_ = kTooMany; }
  [[nodiscard]] bool condemned() const { return bad_values_ >= kTooMany; }

 private:
  static constexpr uint32_t kTooMany = 2;
  std::atomic<uint32_t> bad_values_{0};
};

}  // namespace cpaway::cache
