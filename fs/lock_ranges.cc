#include "fs/lock_ranges.h"

#include <algorithm>

namespace cpaway::fs {
namespace {

bool overlap(const LockRange& a, const LockRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

void LockRanges::set(const LockRange& range) {
  std::vector<LockRange> next;
  for (const LockRange& old : ranges_) {
    if (!overlap(old, range)) {
      next.push_back(old);
      continue;
    }
    if (old.first < range.first) {
      next.push_back({old.type, old.first, range.first - 1});
    }
    if (old.last > range.last) {
      next.push_back({old.type, range.last + 1, old.last});
    }
  }
  if (range.type != wire::kUnlock) {
    next.push_back(range);
  }
  std::sort(next.begin(), next.end(),
            [](const LockRange& a, const LockRange& b) { return a.first < b.first; });
  ranges_.clear();
  for (const LockRange& one : next) {
    if (!ranges_.empty() && ranges_.back().type == one.type &&
        ranges_.back().last + 1 == one.first) {
      ranges_.back().last = one.last;
    } else {
      ranges_.push_back(one);
    }
  }
}

std::optional<LockRange> LockRanges::conflict(const LockRange& wanted) const {
  const auto found = std::find_if(ranges_.begin(), ranges_.end(), [&](const LockRange& held) {
    return overlap(held, wanted) &&
           (held.type == wire::kWriteLock || wanted.type == wire::kWriteLock);
  });
  return found == ranges_.end() ? std::nullopt : std::optional(*found);
}

}  // namespace cpaway::fs
