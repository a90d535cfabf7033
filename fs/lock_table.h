// Who on this mount holds locks on which file.
//
// The agent has a description for each owner (`handle`), which decides; here is what must be known
// beside that: what to take again after a lost connection, what to let go when a descriptor is
// closed, whose process is in the way. An owner is what the kernel says: a process's descriptors
// for POSIX locks, one open file for flock(2) and for F_OFD_SETLK. Thread-safe; the lock is a leaf.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "fs/lock_ranges.h"
#include "fs/open_file.h"

namespace cpaway::fs {

struct LockKey {
  uint64_t inode = 0;  // Inode::id
  uint8_t family = wire::kPosixLock;
  uint64_t owner = 0;
  auto operator<=>(const LockKey&) const = default;
};

// The inode and the handle are constant, the rest is LockTable's.
struct LockOwner {
  LockOwner(LockKey k, InodePtr i, uint64_t v, uint32_t h)
      : key(k), inode(std::move(i)), version(v), handle(h) {}

  const LockKey key;
  const InodePtr inode;
  const uint64_t version;  // Inode::version that its handle has open
  const uint32_t handle;   // at the agent; 0: a file without a name, whose locks only we can see

  LockRanges ranges;
  pid_t pid = 0;
  bool lost = false;  // could not be taken again
  int uses = 0;
  // Through which it locked.
  std::vector<std::weak_ptr<OpenFile>> files;
};
using LockOwnerPtr = std::shared_ptr<LockOwner>;

class LockTable {
 public:
  // Null where there is none.
  [[nodiscard]] LockOwnerPtr find(const LockKey& key) const CPAWAY_EXCLUDES(mutex_);
  // use() of it, or of the one that is there already, where somebody was faster.
  [[nodiscard]] LockOwnerPtr add(const LockOwnerPtr& owner) CPAWAY_EXCLUDES(mutex_);
  // find() and use() in one. Where it holds no lock, is not in use, and has another version of the
  // file open than this one, it is removed instead, and given as `outdated`: the file was replaced.
  [[nodiscard]] LockOwnerPtr use(const LockKey& key, uint64_t version, LockOwnerPtr* outdated)
      CPAWAY_EXCLUDES(mutex_);
  // The same owner, which is in use for as long as this pointer is kept: a request is under way.
  [[nodiscard]] LockOwnerPtr use(const LockOwnerPtr& owner) CPAWAY_EXCLUDES(mutex_);
  // Removes and returns it; null where there is none.
  LockOwnerPtr take(const LockKey& key) CPAWAY_EXCLUDES(mutex_);
  // The owners whose locks end with this open file: what its last close has left.
  std::vector<LockOwnerPtr> take_all(const std::shared_ptr<OpenFile>& file) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] std::vector<LockOwnerPtr> all() const CPAWAY_EXCLUDES(mutex_);
  // Whether anybody on this mount holds a lock on the file.
  [[nodiscard]] bool is_locked(uint64_t inode) const CPAWAY_EXCLUDES(mutex_);

  // `file` shares in what happens to the owner's locks.
  void attach(const LockOwnerPtr& owner, const std::shared_ptr<OpenFile>& file)
      CPAWAY_EXCLUDES(mutex_);
  void record(const LockOwnerPtr& owner, const LockRange& range, pid_t pid) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] std::vector<LockRange> ranges(const LockOwnerPtr& owner) const
      CPAWAY_EXCLUDES(mutex_);
  // Another owner of this mount's whose lock is in the way: which, and its process.
  [[nodiscard]] std::optional<std::pair<LockRange, pid_t>> conflict(const LockOwnerPtr& owner,
                                                                    const LockRange& wanted) const
      CPAWAY_EXCLUDES(mutex_);
  // True where those that are in the way may be about to let go: one of their open files was
  // flushed at `since_ms` (monotonic) or later, as it is by its last close, too.
  [[nodiscard]] bool may_be_closed(const LockOwnerPtr& owner, const LockRange& wanted,
                                   int64_t since_ms) const CPAWAY_EXCLUDES(mutex_);
  // Records it unless another owner is in the way: false. For files without a name.
  [[nodiscard]] bool try_local(const LockOwnerPtr& owner, const LockRange& range, pid_t pid)
      CPAWAY_EXCLUDES(mutex_);

  [[nodiscard]] bool is_lost(const LockOwnerPtr& owner) const CPAWAY_EXCLUDES(mutex_);
  // False where it was so already. Its files fail from now on (OpenFile::lock_lost).
  bool set_lost(const LockOwnerPtr& owner) CPAWAY_EXCLUDES(mutex_);

  // Locks that programs have let go by their last close, of which the agent has not heard yet.
  void begin_release() { ++releases_under_way_, ++releases_; }
  void end_release() { --releases_under_way_; }
  // True where one was under way at or after the moment when releases() was `before`.
  [[nodiscard]] bool released_since(uint64_t before) const {
    return releases_under_way_ > 0 || releases_ != before;
  }
  [[nodiscard]] uint64_t releases() const { return releases_; }

  // Names in whose company programs lock: what begins as a locked file's name does (a database and
  // its journal) is looked up anew each time.
  void add_name(uint64_t parent, const std::string& name) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool has_names() const { return has_names_; }
  [[nodiscard]] bool is_near(uint64_t parent, std::string_view name) const CPAWAY_EXCLUDES(mutex_);

  void set_successor_name(std::string name) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] std::string successor_name() const CPAWAY_EXCLUDES(mutex_);

 private:
  [[nodiscard]] LockOwnerPtr use_locked(const LockOwnerPtr& owner) CPAWAY_REQUIRES(mutex_);
  static constexpr size_t kMaxNames = 1024;

  static void set_range(LockOwner& owner, const LockRange& range, pid_t pid);
  std::optional<std::pair<LockRange, pid_t>> conflict_locked(const LockOwner& owner,
                                                             const LockRange& wanted) const
      CPAWAY_REQUIRES(mutex_);
  static void clear_lost(const LockOwner& owner);

  std::atomic<uint64_t> releases_{0};
  std::atomic<uint64_t> releases_under_way_{0};
  std::atomic<bool> has_names_{false};
  mutable Mutex mutex_;
  std::map<LockKey, LockOwnerPtr> owners_ CPAWAY_GUARDED_BY(mutex_);
  std::set<std::pair<uint64_t, std::string>> names_ CPAWAY_GUARDED_BY(mutex_);
  std::string successor_name_ CPAWAY_GUARDED_BY(mutex_);
};

}  // namespace cpaway::fs
