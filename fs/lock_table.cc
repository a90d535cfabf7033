#include "fs/lock_table.h"

#include <algorithm>

namespace cpaway::fs {

LockOwnerPtr LockTable::find(const LockKey& key) const {
  const MutexLock lock(mutex_);
  const auto found = owners_.find(key);
  return found == owners_.end() ? nullptr : found->second;
}

LockOwnerPtr LockTable::add(const LockOwnerPtr& owner) {
  const MutexLock lock(mutex_);
  return use_locked(owners_.emplace(owner->key, owner).first->second);
}

// The files of an owner that has let everything go work again.
void LockTable::clear_lost(const LockOwner& owner) {
  if (!owner.lost) {
    return;
  }
  for (const auto& weak : owner.files) {
    if (const auto file = weak.lock()) {
      file->lock_lost = false;
    }
  }
}

LockOwnerPtr LockTable::take(const LockKey& key) {
  const MutexLock lock(mutex_);
  const auto found = owners_.find(key);
  if (found == owners_.end()) {
    return nullptr;
  }
  LockOwnerPtr owner = std::move(found->second);
  owners_.erase(found);
  clear_lost(*owner);
  return owner;
}

LockOwnerPtr LockTable::use_locked(const LockOwnerPtr& owner) {
  ++owner->uses;
  return {owner.get(), [this, owner](LockOwner* used) {
            const MutexLock lock(mutex_);
            --used->uses;
          }};
}

LockOwnerPtr LockTable::use(const LockOwnerPtr& owner) {
  const MutexLock lock(mutex_);
  return owner ? use_locked(owner) : nullptr;
}

LockOwnerPtr LockTable::use(const LockKey& key, uint64_t version, LockOwnerPtr* outdated) {
  const MutexLock lock(mutex_);
  const auto found = owners_.find(key);
  if (found == owners_.end()) {
    return nullptr;
  }
  const LockOwner& owner = *found->second;
  if (owner.version == version || owner.handle == 0 || owner.uses > 0 || !owner.ranges.empty()) {
    return use_locked(found->second);
  }
  *outdated = std::move(found->second);
  owners_.erase(found);
  return nullptr;
}

// A process that has POSIX locks gives them up with its own close, which comes before the last one
// of the file: those that are left are flocks and open file description locks. The kernel's number
// of such an owner is another's as soon as the file is closed, and the next open file may lock
// before its release is served: then the entry, and what is still held, is the other's.
std::vector<LockOwnerPtr> LockTable::take_all(const std::shared_ptr<OpenFile>& file) {
  std::vector<LockOwnerPtr> taken;
  const MutexLock lock(mutex_);
  const LockKey begin{file->inode->id, 0, 0};
  for (auto it = owners_.lower_bound(begin);
       it != owners_.end() && it->first.inode == file->inode->id;) {
    LockOwner& owner = *it->second;
    const auto is_its = [&](const auto& weak) { return weak.lock() == file; };
    const bool others = std::any_of(owner.files.begin(), owner.files.end(), [&](const auto& weak) {
      return !weak.expired() && !is_its(weak);
    });
    const bool its = std::any_of(owner.files.begin(), owner.files.end(), is_its);
    if (its && (owner.lost || !others)) {
      clear_lost(owner);
      taken.push_back(std::move(it->second));
      it = owners_.erase(it);
    } else {
      std::erase_if(owner.files, is_its);
      ++it;
    }
  }
  return taken;
}

std::vector<LockOwnerPtr> LockTable::all() const {
  std::vector<LockOwnerPtr> all;
  const MutexLock lock(mutex_);
  for (const auto& [key, owner] : owners_) {
    all.push_back(owner);
  }
  return all;
}

bool LockTable::is_locked(uint64_t inode) const {
  const MutexLock lock(mutex_);
  for (auto it = owners_.lower_bound({inode, 0, 0});
       it != owners_.end() && it->first.inode == inode; ++it) {
    if (!it->second->ranges.empty()) {
      return true;
    }
  }
  return false;
}

void LockTable::attach(const LockOwnerPtr& owner, const std::shared_ptr<OpenFile>& file) {
  const MutexLock lock(mutex_);
  std::erase_if(owner->files, [](const auto& weak) { return weak.expired(); });
  const bool there = std::any_of(owner->files.begin(), owner->files.end(),
                                 [&](const auto& weak) { return weak.lock() == file; });
  if (!there) {
    owner->files.push_back(file);
  }
}

void LockTable::set_range(LockOwner& owner, const LockRange& range, pid_t pid) {
  owner.ranges.set(range);
  if (range.type != wire::kUnlock) {
    owner.pid = pid;  // of what is left after an unlock it stays
  }
}

void LockTable::record(const LockOwnerPtr& owner, const LockRange& range, pid_t pid) {
  const MutexLock lock(mutex_);
  set_range(*owner, range, pid);
}

std::vector<LockRange> LockTable::ranges(const LockOwnerPtr& owner) const {
  const MutexLock lock(mutex_);
  return owner->ranges.all();
}

std::optional<std::pair<LockRange, pid_t>> LockTable::conflict_locked(
    const LockOwner& owner, const LockRange& wanted) const {
  const LockKey begin{owner.key.inode, owner.key.family, 0};
  for (auto it = owners_.lower_bound(begin);
       it != owners_.end() && it->first.inode == owner.key.inode &&
       it->first.family == owner.key.family;
       ++it) {
    if (it->first.owner == owner.key.owner) {
      continue;
    }
    if (const auto held = it->second->ranges.conflict(wanted)) {
      return std::pair(*held, it->second->pid);
    }
  }
  return std::nullopt;
}

std::optional<std::pair<LockRange, pid_t>> LockTable::conflict(const LockOwnerPtr& owner,
                                                               const LockRange& wanted) const {
  const MutexLock lock(mutex_);
  return conflict_locked(*owner, wanted);
}

bool LockTable::may_be_closed(const LockOwnerPtr& owner, const LockRange& wanted,
                              int64_t since_ms) const {
  const MutexLock lock(mutex_);
  const LockKey begin{owner->key.inode, owner->key.family, 0};
  for (auto it = owners_.lower_bound(begin);
       it != owners_.end() && it->first.inode == begin.inode && it->first.family == begin.family;
       ++it) {
    if (it->first.owner == owner->key.owner || !it->second->ranges.conflict(wanted)) {
      continue;
    }
    const auto& files = it->second->files;
    const bool flushed = std::any_of(files.begin(), files.end(), [&](const auto& weak) {
      const auto file = weak.lock();
      return file && file->flushed_ms >= since_ms;
    });
    if (flushed) {
      return true;
    }
  }
  return false;
}

bool LockTable::try_local(const LockOwnerPtr& owner, const LockRange& range, pid_t pid) {
  const MutexLock lock(mutex_);
  if (range.type != wire::kUnlock && conflict_locked(*owner, range)) {
    return false;
  }
  set_range(*owner, range, pid);
  return true;
}

bool LockTable::is_lost(const LockOwnerPtr& owner) const {
  const MutexLock lock(mutex_);
  return owner->lost;
}

bool LockTable::set_lost(const LockOwnerPtr& owner) {
  const MutexLock lock(mutex_);
  const auto found = owners_.find(owner->key);
  if (owner->lost || found == owners_.end() || found->second != owner) {
    return false;
  }
  owner->lost = true;
  for (const auto& weak : owner->files) {
    if (const auto file = weak.lock()) {
      file->lock_lost = true;
    }
  }
  return true;
}

void LockTable::add_name(uint64_t parent, const std::string& name) {
  const MutexLock lock(mutex_);
  if (names_.size() >= kMaxNames) {
    names_.clear();  // those in use come back with their next lock
  }
  names_.emplace(parent, name);
  has_names_ = true;
}

bool LockTable::is_near(uint64_t parent, std::string_view name) const {
  const MutexLock lock(mutex_);
  for (auto it = names_.lower_bound({parent, std::string()});
       it != names_.end() && it->first == parent; ++it) {
    if (name.starts_with(it->second)) {
      return true;
    }
  }
  return false;
}

void LockTable::set_successor_name(std::string name) {
  const MutexLock lock(mutex_);
  successor_name_ = std::move(name);
}

std::string LockTable::successor_name() const {
  const MutexLock lock(mutex_);
  return successor_name_;
}

}  // namespace cpaway::fs
