#include "cache/change_queue.h"

#include <algorithm>
#include <utility>

namespace cpaway::cache {
namespace {

constexpr int64_t kMaxDelayMs = 100;
constexpr size_t kMaxBytes = size_t{64} << 20U;
constexpr size_t kEarlyBytes = size_t{8} << 20U;  // committed without waiting for more
constexpr size_t kMaxVersionChanges = 4096;
constexpr size_t kMaxTouches = 4096;
constexpr size_t kMaxRecords = 1024;
constexpr size_t kMaxNumberChanges = 65536;
constexpr size_t kMaxCheckpointChanges = 65536;
// What an entry costs beyond its content, roughly.
constexpr size_t kEntryBytes = 200;

}  // namespace

// ---- callers

bool ChangeQueue::has_room_locked(size_t bytes) const {
  return !abandoned_ && (open_.bytes == 0 || bytes <= kMaxBytes - std::min(kMaxBytes, open_.bytes));
}

// Called with the change already in open_.
void ChangeQueue::added_locked(size_t bytes) {
  if (open_.bytes == 0) {
    first_change_ms_ = clock_.now_ms();
    changed_.notify_one();
  }
  const bool was_early = open_.bytes >= kEarlyBytes;
  open_.bytes += bytes;
  if (!was_early && open_.bytes >= kEarlyBytes) {
    changed_.notify_one();
  }
}

bool ChangeQueue::add_version(VersionChange change, size_t bytes) {
  auto shared = std::make_shared<const VersionChange>(std::move(change));
  const MutexLock lock(mutex_);
  if (open_.versions.size() >= kMaxVersionChanges || !has_room_locked(bytes + kEntryBytes)) {
    return false;
  }
  open_.versions.push_back(std::move(shared));
  added_locked(bytes + kEntryBytes);
  return true;
}

bool ChangeQueue::add_touch(const upload::VersionKey& key) {
  const MutexLock lock(mutex_);
  if (open_.touched.size() >= kMaxTouches || !has_room_locked(kEntryBytes)) {
    return false;
  }
  open_.touched.push_back(key);
  added_locked(kEntryBytes);
  return true;
}

CheckpointChange* ChangeQueue::find_checkpoint_locked(const std::string& path) {
  const auto found = open_.checkpoints.find(path);
  if (found != open_.checkpoints.end()) {
    return &found->second;
  }
  return !abandoned_ && open_.checkpoints.size() < kMaxCheckpointChanges ? &open_.checkpoints[path]
                                                                         : nullptr;
}

bool ChangeQueue::start_checkpoint(const std::string& path, const std::string& staging_name,
                                   int64_t now_s) {
  const MutexLock lock(mutex_);
  CheckpointChange* change = find_checkpoint_locked(path);
  if (change == nullptr) {
    return false;
  }
  *change = {CheckpointChange::Base::fresh, staging_name, now_s, {}};
  added_locked(kEntryBytes + path.size());
  return true;
}

bool ChangeQueue::acknowledge(const std::string& path, const upload::AcknowledgedBlock& block,
                              int64_t now_s) {
  const MutexLock lock(mutex_);
  CheckpointChange* change = has_room_locked(sizeof block) ? find_checkpoint_locked(path) : nullptr;
  if (change == nullptr) {
    return false;
  }
  const bool dropped = change->base == CheckpointChange::Base::none;
  if (!dropped) {
    change->blocks.push_back(block);
    change->changed_s = now_s;
  }
  added_locked(sizeof block);
  return true;
}

bool ChangeQueue::drop_checkpoint(const std::string& path) {
  const MutexLock lock(mutex_);
  CheckpointChange* change = find_checkpoint_locked(path);
  if (change == nullptr) {
    return false;
  }
  *change = {CheckpointChange::Base::none, {}, 0, {}};
  added_locked(kEntryBytes + path.size());
  return true;
}

// The file may have another number by now, as when its inode was given to a new one.
void ChangeQueue::forget_number_locked(FileId file, uint64_t number) {
  NumberChange& change = open_.numbers[file];
  if (!change.entry || change.entry->number == number) {
    change = {std::nullopt, number};
  }
}

bool ChangeQueue::add_number(FileId file, const NumberEntry& entry) {
  const MutexLock lock(mutex_);
  if (open_.numbers.size() >= kMaxNumberChanges || !has_room_locked(kEntryBytes)) {
    return false;
  }
  std::optional<FileId>& owner = open_.owners[entry.number];
  if (owner && *owner != file) {
    forget_number_locked(*owner, entry.number);  // whichever of the two is committed first
  }
  owner = file;
  open_.numbers[file] = {entry, 0};
  added_locked(kEntryBytes);
  return true;
}

bool ChangeQueue::drop_number(FileId file, uint64_t number) {
  const MutexLock lock(mutex_);
  if (open_.numbers.size() >= kMaxNumberChanges || !has_room_locked(kEntryBytes)) {
    return false;
  }
  forget_number_locked(file, number);
  const auto owner = open_.owners.try_emplace(number).first;
  if (owner->second == file) {
    owner->second = std::nullopt;
  }
  added_locked(kEntryBytes);
  return true;
}

bool ChangeQueue::add_record(upload::TransferRecord record) {
  const MutexLock lock(mutex_);
  if (open_.records.size() >= kMaxRecords || !has_room_locked(kEntryBytes)) {
    return false;
  }
  open_.records.push_back({next_record_++, std::move(record)});
  added_locked(kEntryBytes);
  return true;
}

// ---- readers

VersionChanges ChangeQueue::versions() const {
  const MutexLock lock(mutex_);
  VersionChanges changes;
  if (committing_) {
    changes = committing_->versions;
  }
  changes.insert(changes.end(), open_.versions.begin(), open_.versions.end());
  return changes;
}

std::vector<CheckpointChange> ChangeQueue::checkpoint(const std::string& path) const {
  const MutexLock lock(mutex_);
  std::vector<CheckpointChange> changes;
  for (const Batch* batch : {committing_.get(), &open_}) {
    if (batch == nullptr) {
      continue;
    }
    if (const auto found = batch->checkpoints.find(path); found != batch->checkpoints.end()) {
      changes.push_back(found->second);
    }
  }
  return changes;
}

std::set<std::string> ChangeQueue::changed_checkpoints() const {
  const MutexLock lock(mutex_);
  std::set<std::string> paths;
  for (const Batch* batch : {committing_.get(), &open_}) {
    if (batch == nullptr) {
      continue;
    }
    for (const auto& [path, change] : batch->checkpoints) {
      paths.insert(path);
    }
  }
  return paths;
}

std::optional<NumberChange> ChangeQueue::number(FileId file) const {
  const MutexLock lock(mutex_);
  std::optional<NumberChange> newest;
  for (const Batch* batch : {static_cast<const Batch*>(&open_), committing_.get()}) {
    if (batch == nullptr || !batch->numbers.contains(file)) {
      continue;
    }
    const NumberChange& change = batch->numbers.at(file);
    // One that was forgotten says nothing of another that was there.
    if (!newest || (!newest->entry && change.entry && change.entry->number != newest->forgotten)) {
      newest = change;
    }
  }
  return newest;
}

std::optional<std::optional<FileId>> ChangeQueue::owner(uint64_t number) const {
  const MutexLock lock(mutex_);
  for (const Batch* batch : {static_cast<const Batch*>(&open_), committing_.get()}) {
    if (batch == nullptr) {
      continue;
    }
    if (const auto found = batch->owners.find(number); found != batch->owners.end()) {
      return found->second;
    }
  }
  return std::nullopt;
}

ChangeQueue::Records ChangeQueue::records(size_t limit) const {
  const MutexLock lock(mutex_);
  Records result;
  result.before = next_record_;
  for (const Batch* batch : {static_cast<const Batch*>(&open_), committing_.get()}) {
    if (batch == nullptr) {
      continue;
    }
    for (auto record = batch->records.rbegin(); record != batch->records.rend(); ++record) {
      result.before = record->number;
      if (result.newest_first.size() < limit) {
        result.newest_first.push_back(record->record);
      }
    }
  }
  return result;
}

// ---- the writer

void ChangeQueue::set_next_record(uint64_t number) {
  const MutexLock lock(mutex_);
  next_record_ = number;
}

bool ChangeQueue::must_go_locked() const {
  return stopping_ || open_.bytes >= kEarlyBytes || batches_taken_ < flush_until_;
}

ChangeQueue::Work ChangeQueue::wait(int64_t idle_ms) {
  const MutexLock lock(mutex_);
  const int64_t idle_until_ms = clock_.now_ms() + idle_ms;
  while (open_.bytes == 0 && !stopping_ && !woken_) {
    const int64_t left_ms = idle_until_ms - clock_.now_ms();
    if (left_ms <= 0) {
      break;
    }
    changed_.wait_for_ms(mutex_, left_ms);
  }
  woken_ = false;
  if (open_.bytes == 0) {
    return {nullptr, stopping_};
  }
  while (!must_go_locked()) {
    const int64_t left_ms = first_change_ms_ + kMaxDelayMs - clock_.now_ms();
    if (left_ms <= 0) {
      break;
    }
    changed_.wait_for_ms(mutex_, left_ms);
  }
  committing_ = std::make_shared<const Batch>(std::exchange(open_, Batch()));
  ++batches_taken_;
  return {committing_, false};
}

void ChangeQueue::committed() {
  std::shared_ptr<const Batch> done;  // freed without the lock
  {
    const MutexLock lock(mutex_);
    done = std::exchange(committing_, nullptr);
    ++batches_done_;
  }
  finished_.notify_all();
}

void ChangeQueue::abandon() {
  {
    const MutexLock lock(mutex_);
    abandoned_ = true;
    open_ = {};
    committing_ = nullptr;
  }
  finished_.notify_all();
}

// ---- owner

void ChangeQueue::wake() {
  const MutexLock lock(mutex_);
  woken_ = true;
  changed_.notify_one();
}

void ChangeQueue::stop() {
  const MutexLock lock(mutex_);
  stopping_ = true;
  changed_.notify_one();
}

void ChangeQueue::flush() {
  const MutexLock lock(mutex_);
  const uint64_t until = batches_taken_ + (open_.bytes > 0 ? 1 : 0);
  flush_until_ = std::max(flush_until_, until);
  changed_.notify_one();
  while (batches_done_ < until && !abandoned_) {
    finished_.wait(mutex_);
  }
}

}  // namespace cpaway::cache
