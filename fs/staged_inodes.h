// Which inodes have something staged: few of the many that the kernel may know.
//
// Thread-safe; its mutex is a leaf, taken under Inode::mutex too.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "engine/base/mutex.h"

namespace cpaway::fs {

class StagedInodes {
 public:
  // By node id, for as long as what is returned lives, which this outlives.
  [[nodiscard]] std::shared_ptr<const void> add(uint64_t id) CPAWAY_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      ids_.insert(id);
    }
    return {this, [this, id](const void* /*unused*/) { remove(id); }};
  }
  [[nodiscard]] std::vector<uint64_t> all() const CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return {ids_.begin(), ids_.end()};
  }

 private:
  void remove(uint64_t id) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    ids_.erase(ids_.find(id));
  }

  mutable Mutex mutex_;
  std::multiset<uint64_t> ids_
      CPAWAY_GUARDED_BY(mutex_);  // twice while one takes over from another
};

}  // namespace cpaway::fs
