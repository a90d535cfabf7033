// Changes on their way to the disk: what callers queue and the writer commits, in batches, and what
// readers see of them meanwhile.
//
// Callers never wait. Where the queue is full a hint is dropped, and the call says so. The changes
// being committed stay visible until committed() has been called; so a reader that looks here first
// and into the database second misses none. Thread-safe; the mutex is a leaf.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cache/changes.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"

namespace cpaway::cache {

class ChangeQueue {
 public:
  explicit ChangeQueue(const Clock& clock) : clock_(clock) {}

  // ---- callers; false where the queue is full
  [[nodiscard]] bool add_version(VersionChange change, size_t bytes) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool add_touch(const upload::VersionKey& key) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool start_checkpoint(const std::string& path, const std::string& staging_name,
                                      int64_t now_s) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool acknowledge(const std::string& path, const upload::AcknowledgedBlock& block,
                                 int64_t now_s) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool drop_checkpoint(const std::string& path) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool add_number(FileId file, const NumberEntry& entry) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool drop_number(FileId file, uint64_t number) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool add_record(upload::TransferRecord record) CPAWAY_EXCLUDES(mutex_);

  // ---- readers; all in the order of the calls
  [[nodiscard]] VersionChanges versions() const CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] std::vector<CheckpointChange> checkpoint(const std::string& path) const
      CPAWAY_EXCLUDES(mutex_);
  // The paths of all checkpoints that changed.
  [[nodiscard]] std::set<std::string> changed_checkpoints() const CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] std::optional<NumberChange> number(FileId file) const CPAWAY_EXCLUDES(mutex_);
  // None: no change of that number. Otherwise whose it is now, or nobody's.
  [[nodiscard]] std::optional<std::optional<FileId>> owner(uint64_t number) const
      CPAWAY_EXCLUDES(mutex_);
  struct Records {
    std::vector<upload::TransferRecord> newest_first;
    uint64_t before = 0;  // what the database holds from this number on is among them
  };
  [[nodiscard]] Records records(size_t limit) const CPAWAY_EXCLUDES(mutex_);

  // ---- the writer
  void set_next_record(uint64_t number) CPAWAY_EXCLUDES(mutex_);
  struct Work {
    std::shared_ptr<const Batch> batch;  // null: nothing came for `idle_ms`, or wake was called
    bool stop = false;
  };
  // Gathers changes for at most kMaxDelayMs after the first. Stops once stop() was called and
  // nothing is left.
  [[nodiscard]] Work wait(int64_t idle_ms) CPAWAY_EXCLUDES(mutex_);
  // The batch is in the database, or was given up.
  void committed() CPAWAY_EXCLUDES(mutex_);
  // No writer comes any more: nothing is taken, and no flush waits.
  void abandon() CPAWAY_EXCLUDES(mutex_);

  // ---- owner
  void wake() CPAWAY_EXCLUDES(mutex_);
  void stop() CPAWAY_EXCLUDES(mutex_);
  // Returns when all that was queued before is committed.
  void flush() CPAWAY_EXCLUDES(mutex_);

 private:
  void forget_number_locked(FileId file, uint64_t number) CPAWAY_REQUIRES(mutex_);
  [[nodiscard]] bool has_room_locked(size_t bytes) const CPAWAY_REQUIRES(mutex_);
  [[nodiscard]] CheckpointChange* find_checkpoint_locked(const std::string& path)
      CPAWAY_REQUIRES(mutex_);
  void added_locked(size_t bytes) CPAWAY_REQUIRES(mutex_);
  [[nodiscard]] bool must_go_locked() const CPAWAY_REQUIRES(mutex_);

  const Clock& clock_;

  mutable Mutex mutex_;
  CondVar changed_;   // for the writer
  CondVar finished_;  // for flush
  Batch open_ CPAWAY_GUARDED_BY(mutex_);
  int64_t first_change_ms_ CPAWAY_GUARDED_BY(mutex_) = 0;  // of open_
  std::shared_ptr<const Batch> committing_ CPAWAY_GUARDED_BY(mutex_);
  uint64_t next_record_ CPAWAY_GUARDED_BY(mutex_) = 1;
  uint64_t batches_taken_ CPAWAY_GUARDED_BY(mutex_) = 0;
  uint64_t batches_done_ CPAWAY_GUARDED_BY(mutex_) = 0;
  uint64_t flush_until_ CPAWAY_GUARDED_BY(mutex_) = 0;  // batches that do not wait for company
  bool woken_ CPAWAY_GUARDED_BY(mutex_) = false;
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  bool abandoned_ CPAWAY_GUARDED_BY(mutex_) = false;
};

}  // namespace cpaway::cache
