// Open files and directories by the number that the kernel gives back (fuse_file_info::fh).
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/base/mutex.h"

namespace cpaway::fs {

// Thread-safe; the lock is a leaf.
template <class Handle>
class HandleTable {
 public:
  using Ptr = std::shared_ptr<Handle>;

  [[nodiscard]] uint64_t add(Ptr handle) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    handles_.emplace(next_, std::move(handle));
    return next_++;
  }
  // Null for a number that is not in use.
  [[nodiscard]] Ptr find(uint64_t number) const CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = handles_.find(number);
    return found == handles_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::vector<Ptr> all() const CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<Ptr> all;
    for (const auto& [number, handle] : handles_) {
      all.push_back(handle);
    }
    return all;
  }
  [[nodiscard]] Ptr take(uint64_t number) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = handles_.find(number);
    if (found == handles_.end()) {
      return nullptr;
    }
    Ptr handle = std::move(found->second);
    handles_.erase(found);
    return handle;
  }

 private:
  mutable Mutex mutex_;
  uint64_t next_ CPAWAY_GUARDED_BY(mutex_) = 1;
  std::unordered_map<uint64_t, Ptr> handles_ CPAWAY_GUARDED_BY(mutex_);
};

}  // namespace cpaway::fs
