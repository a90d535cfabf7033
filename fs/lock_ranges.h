// The byte ranges that one owner has locked in one file, as fcntl(2) keeps them: a new lock takes
// the place of what the owner had there, and splits what it covers in part only.
//
// The mount needs them to take the locks again after a lost connection, and to name the process
// that is in somebody's way. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/wire/lock_message.h"

namespace cpaway::fs {

struct LockRange {
  uint8_t type = wire::kUnlock;
  uint64_t first = 0;
  uint64_t last = wire::kLockEnd;  // inclusive
  bool operator==(const LockRange&) const = default;
};

class LockRanges {
 public:
  // Type kUnlock takes away what is held there.
  void set(const LockRange& range);
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  // In order, without overlaps; neighbours of one type are one.
  [[nodiscard]] const std::vector<LockRange>& all() const { return ranges_; }
  // The first that keeps another owner from `wanted`.
  [[nodiscard]] std::optional<LockRange> conflict(const LockRange& wanted) const;

 private:
  std::vector<LockRange> ranges_;
};

}  // namespace cpaway::fs
