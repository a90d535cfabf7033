// The journal of uploads over LMDB: what a mount remembers of its remote host (FORMAT.md).
//
// Callers, on any thread, read from mapped memory and write into a queue; a thread of the store
// commits what is queued. No call but open, flush and the destructor waits for a disk. A store that
// is damaged is replaced by an empty one, also while it is in use; a batch that finds no room is
// given up. So no call fails: at worst the store has forgotten.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "cache/change_queue.h"
#include "cache/database.h"
#include "cache/store_directory.h"
#include "engine/base/clock.h"
#include "engine/base/mutex.h"
#include "engine/upload/journal.h"

namespace cpaway::cache {

// Seconds since the epoch.
[[nodiscard]] int64_t wall_clock_s();

struct StoreOptions {
  std::string directory;  // the state directory; it exists
  uint64_t max_size = uint64_t{1} << 30U;
  const Clock* clock = &system_clock();
  int64_t (*now_s)() = &wall_clock_s;
};

struct StoreCounts {
  uint64_t batches_committed = 0;
  uint64_t changes_dropped = 0;  // the queue was full, the change out of bounds, its batch given up
  uint64_t versions_evicted = 0;
  uint64_t rebuilt = 0;  // set aside and made anew since open
};

class Store : public upload::Journal {
 public:
  // Sets a damaged store aside, with a warning, and makes a new one. Errors: EBUSY where another
  // process has it open; the errno where none can be made.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(StoreOptions options);
  // Commits what is queued.
  ~Store() override;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  std::optional<upload::KnownVersion> find_version(const upload::VersionKey& key) override;
  std::vector<upload::KnownFile> find_similar(const std::vector<hash::BlockHash>& ids,
                                              size_t limit) override;
  void remember(upload::KnownVersion version) override;
  void rekey(const upload::VersionKey& before, const upload::KnownFile& now) override;

  std::optional<upload::Checkpoint> find_checkpoint(const std::string& path) override;
  std::vector<upload::Checkpoint> checkpoints() override;
  void start_checkpoint(const std::string& path, const std::string& staging_name) override;
  void acknowledge(const std::string& path, const upload::AcknowledgedBlock& block) override;
  void drop_checkpoint(const std::string& path) override;

  std::optional<uint64_t> find_number(const upload::FileIdentity& file) override;
  bool is_taken(uint64_t number, const upload::FileIdentity& by_others_than) override;
  void remember_number(const upload::FileIdentity& file, uint64_t number) override;
  void forget_number(const upload::FileIdentity& file, uint64_t number) override;

  void record(upload::TransferRecord record) override;
  std::vector<upload::TransferRecord> recent(size_t limit) override;

  // Waits until what was queued before is committed.
  void flush() { queue_.flush(); }
  [[nodiscard]] StoreCounts counts() const;
  // Pages in use, in bytes; 0 without a database.
  [[nodiscard]] uint64_t bytes_used();

 private:
  Store(StoreOptions options, StoreDirectory directory);
  [[nodiscard]] Result<std::shared_ptr<Database>> open_database();
  void start(std::shared_ptr<Database> database);
  // Null where the store was given up.
  [[nodiscard]] std::shared_ptr<Database> database() const CPAWAY_EXCLUDES(mutex_);
  void publish(std::shared_ptr<Database> database) CPAWAY_EXCLUDES(mutex_);

  // read(txn, health) returns a Result; what it gives, or `otherwise` where that is an error.
  template <typename T, typename Read>
  [[nodiscard]] T read_or(T otherwise, Read read);
  void count_drop(bool queued);

  // ---- on the thread of the writer
  void run();
  void commit(const Batch& batch);
  [[nodiscard]] Status write(Database& database, const Batch& batch);
  void give_up(const Batch& batch, const Error& error);
  // The store is damaged: a new one takes its place, or none.
  void rebuild();

  const StoreOptions options_;
  ChangeQueue queue_;
  std::atomic<uint64_t> batches_committed_{0};
  std::atomic<uint64_t> changes_dropped_{0};
  std::atomic<uint64_t> versions_evicted_{0};
  std::atomic<uint64_t> rebuilt_{0};

  mutable Mutex mutex_;
  std::shared_ptr<Database> database_ CPAWAY_GUARDED_BY(mutex_);

  StoreDirectory directory_;  // the writer's, once started
  bool warned_ = false;       // the writer's
  std::thread writer_;
};

}  // namespace cpaway::cache
