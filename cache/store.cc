#include "cache/store.h"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>
#include <utility>

#include "cache/env_check.h"
#include "cache/inode_numbers.h"
#include "cache/transfer_log.h"
#include "engine/base/log.h"

namespace cpaway::cache {
namespace {

constexpr int64_t kSyncAfterMs = 1000;
constexpr int64_t kIdleMs = 3600 * 1000;
constexpr int kMaxWrites = 3;
constexpr uint64_t kMaxRebuilds = 3;

// These say nothing about the store itself: a new one would fare no better.
bool is_of_the_machine(const Error& error) {
  static constexpr int kErrnos[] = {ENOSPC, EDQUOT, EFBIG, ENOMEM, EMFILE,
                                    ENFILE, EACCES, EPERM, EROFS};
  return error.code == Errc::limit ||
         (error.code == Errc::os &&
          std::find(std::begin(kErrnos), std::end(kErrnos), error.os_errno) != std::end(kErrnos));
}

bool is_good_chunk(const hash::Chunk& chunk) {
  return chunk.size > 0 && chunk.size <= hash::kMaxChunkSize;
}

bool is_storable(const upload::KnownVersion& version, uint64_t max_list_size) {
  return version.file.path.size() <= kMaxPathSize && version.chunks.size() <= kMaxListChunks &&
         std::all_of(version.chunks.begin(), version.chunks.end(), is_good_chunk) &&
         list_size(version.chunks) <= max_list_size;
}

uint64_t count_of(const Batch& batch) {
  return batch.versions.size() + batch.records.size() + batch.checkpoints.size() +
         batch.numbers.size();
}

}  // namespace

int64_t wall_clock_s() {
  return std::time(nullptr);
}

// ---- open and close

Store::Store(StoreOptions options, StoreDirectory directory)
    : options_(std::move(options)), queue_(*options_.clock), directory_(std::move(directory)) {}

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  CPAWAY_ASSIGN(auto directory, StoreDirectory::open(options.directory));
  std::unique_ptr<Store> store(new Store(std::move(options), std::move(directory)));
  auto database = store->open_database();
  if (!database && !is_of_the_machine(database.error())) {
    log::warning("the store is set aside as store.damaged, and with it what was known: ",
                 database.error().to_string());
    CPAWAY_TRY(store->directory_.set_aside());
    database = store->open_database();
  }
  if (!database) {
    return fail(with_context(database.error(), store->directory_.path()));
  }
  store->start(std::move(*database));
  return store;
}

Result<std::shared_ptr<Database>> Store::open_database() {
  CPAWAY_TRY(check_env_file(directory_.data_file()));
  CPAWAY_TRY(directory_.make_lock_file());
  return Database::open(directory_.path(), options_.max_size);
}

void Store::start(std::shared_ptr<Database> database) {
  queue_.set_next_record(database->next_record());
  if (database->health().condemned()) {
    queue_.wake();
  }
  publish(std::move(database));
  writer_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "store");
    try {
      run();
    } catch (const std::exception& problem) {  // no memory, at a moment that is not a batch's
      log::error("the store ends: ", problem.what());
      publish(nullptr);
      queue_.abandon();
    }
  });
}

Store::~Store() {
  if (writer_.joinable()) {
    queue_.stop();
    writer_.join();
  }
}

std::shared_ptr<Database> Store::database() const {
  const MutexLock lock(mutex_);
  return database_;
}

void Store::publish(std::shared_ptr<Database> database) {
  const MutexLock lock(mutex_);
  database_.swap(database);
}

StoreCounts Store::counts() const {
  return {batches_committed_, changes_dropped_, versions_evicted_, rebuilt_};
}

uint64_t Store::bytes_used() {
  const auto database = this->database();
  return database ? database->bytes_used().value_or(0) : 0;
}

// ---- reading: always the queue first, then the database (change_queue.h)

template <typename T, typename Read>
T Store::read_or(T otherwise, Read read) {
  const auto database = this->database();  // keeps it open for as long as the transaction
  if (!database) {
    return otherwise;
  }
  auto result = [&]() -> Result<T> {
    CPAWAY_ASSIGN(const ReadTxn txn, ReadTxn::begin(database->env()));
    return read(txn, database->health());
  }();
  if (!result && is_damage(result.error())) {
    database->health().condemn();
  }
  if (database->health().condemned()) {
    queue_.wake();  // the writer sees to it
  }
  return result ? std::move(*result) : otherwise;
}

std::optional<upload::KnownVersion> Store::find_version(const upload::VersionKey& key) {
  using Found = std::optional<upload::KnownVersion>;
  const Resolved resolved = resolve(queue_.versions(), key);
  Found found;
  if (resolved.pending) {
    found = resolved.pending->version;
  } else if (!resolved.gone) {
    found = read_or(Found(), [&](const ReadTxn& txn, Health& health) -> Result<Found> {
      CPAWAY_ASSIGN(auto version, cache::find_version(txn, resolved.stored_as, health));
      // The change to `now` may have been committed since the queue was looked at.
      return version || !resolved.now ? Result<Found>(std::move(version))
                                      : cache::find_version(txn, key, health);
    });
    if (found) {
      ignore(queue_.add_touch(key) ? Status() : fail(Errc::limit, "queue"),
             "the order of eviction may be off by one use");
    }
  }
  if (found && resolved.now) {
    found->file = *resolved.now;
  }
  return found;
}

std::vector<upload::KnownFile> Store::find_similar(const std::vector<hash::BlockHash>& ids,
                                                   size_t limit) {
  using Found = std::vector<SimilarFile>;
  const std::vector<Sample> samples = samples_of(ids);
  const VersionChanges changes = queue_.versions();
  Found found =
      merge_similar(changes, samples, read_or(Found(), [&](const ReadTxn& txn, Health& health) {
                      return cache::find_similar(txn, samples, health);
                    }));
  std::vector<upload::KnownFile> best;
  for (size_t i = 0; i < std::min(limit, found.size()); ++i) {
    best.push_back(std::move(found[i].file));
  }
  return best;
}

std::optional<upload::Checkpoint> Store::find_checkpoint(const std::string& path) {
  using Found = std::optional<upload::Checkpoint>;
  const auto changes = queue_.checkpoint(path);
  const bool starts_here =
      !changes.empty() && changes.back().base != CheckpointChange::Base::before;
  Found found;
  if (!starts_here) {
    found = read_or(Found(), [&](const ReadTxn& txn, Health& health) {
      return cache::find_checkpoint(txn, path, health);
    });
  }
  for (const CheckpointChange& change : changes) {
    found = apply_change(std::move(found), path, change);
  }
  return found;
}

std::vector<upload::Checkpoint> Store::checkpoints() {
  using Found = std::vector<upload::Checkpoint>;
  std::map<std::string, upload::Checkpoint> all;
  const auto changed = queue_.changed_checkpoints();
  for (auto& checkpoint : read_or(Found(), [&](const ReadTxn&txn, Health&health) {
         return list_checkpoints(txn, health);
       })) {
    all.insert_or_assign(checkpoint.path, std::move(checkpoint));
  }
  for (const std::string& path : changed) {
    all.erase(path);
    if (auto checkpoint = find_checkpoint(path)) {
      checkpoint->blocks = {};
      all.insert_or_assign(path, std::move(*checkpoint));
    }
  }
  Found listed;
  for (auto& [path, checkpoint] : all) {
    listed.push_back(std::move(checkpoint));
  }
  return listed;
}

std::optional<uint64_t> Store::find_number(const upload::FileIdentity& file) {
  using Found = std::optional<uint64_t>;
  const auto change = queue_.number({file.dev, file.ino});
  if (change && change->entry) {
    return change->entry->is_of(file) ? Found(change->entry->number) : Found();
  }
  const Found stored = read_or(Found(), [&](const ReadTxn& txn, Health& health) {
    return cache::find_number(txn, file, health);
  });
  return change && stored == change->forgotten ? Found() : stored;
}

bool Store::is_taken(uint64_t number, const upload::FileIdentity& by_others_than) {
  using Found = std::optional<FileId>;
  const auto change = queue_.owner(number);
  const Found owner = change ? *change : read_or(Found(), [&](const ReadTxn& txn, Health& health) {
    return find_owner(txn, number, health);
  });
  return owner && *owner != FileId{by_others_than.dev, by_others_than.ino};
}

std::vector<upload::TransferRecord> Store::recent(size_t limit) {
  using Found = std::vector<upload::TransferRecord>;
  auto queued = queue_.records(limit);
  Found records = std::move(queued.newest_first);
  Found stored = read_or(Found(), [&](const ReadTxn& txn, Health& health) {
    return recent_transfers(txn, queued.before, limit - records.size(), health);
  });
  std::move(stored.begin(), stored.end(), std::back_inserter(records));
  return records;
}

// ---- writing: into the queue

void Store::count_drop(bool queued) {
  if (!queued) {
    ++changes_dropped_;
  }
}

void Store::remember(upload::KnownVersion version) {
  if (!is_storable(version, options_.max_size / 4)) {
    count_drop(false);
    return;
  }
  auto pending = std::make_shared<PendingVersion>();
  pending->chunk_count = static_cast<uint32_t>(version.chunks.size());
  pending->samples = samples_of(version.chunks);
  if (version.chunks.size() < kMinListChunks) {
    version.chunks = {};
  }
  const size_t bytes = version.chunks.size() * sizeof(hash::Chunk) + version.file.path.size() +
                       pending->samples.size() * sizeof(Sample);
  pending->version = std::move(version);
  count_drop(queue_.add_version({std::move(pending), {}, {}}, bytes));
}

void Store::rekey(const upload::VersionKey& before, const upload::KnownFile& now) {
  count_drop(now.path.size() <= kMaxPathSize &&
             queue_.add_version({nullptr, before, now}, now.path.size()));
}

void Store::start_checkpoint(const std::string& path, const std::string& staging_name) {
  count_drop(path.size() <= kMaxPathSize && staging_name.size() <= kMaxNameSize &&
             queue_.start_checkpoint(path, staging_name, options_.now_s()));
}

void Store::acknowledge(const std::string& path, const upload::AcknowledgedBlock& block) {
  const bool good = is_good_chunk(block.block) && block.offset <= UINT64_MAX - block.block.size;
  count_drop(good && queue_.acknowledge(path, block, options_.now_s()));
}

void Store::drop_checkpoint(const std::string& path) {
  count_drop(queue_.drop_checkpoint(path));
}

void Store::remember_number(const upload::FileIdentity& file, uint64_t number) {
  count_drop(
      queue_.add_number({file.dev, file.ino}, {file.btime_s, file.btime_ns, file.type, number}));
}

void Store::forget_number(const upload::FileIdentity& file, uint64_t number) {
  count_drop(queue_.drop_number({file.dev, file.ino}, number));
}

void Store::record(upload::TransferRecord record) {
  const bool good = record.path.size() <= kMaxPathSize && record.state.size() <= kMaxNameSize;
  record.error.resize(std::min(record.error.size(), kMaxPathSize));
  count_drop(good && queue_.add_record(std::move(record)));
}

// ---- the writer

void Store::run() {
  bool synced = true;
  for (;;) {
    const ChangeQueue::Work work = queue_.wait(synced ? kIdleMs : kSyncAfterMs);
    if (work.batch) {
      commit(*work.batch);
      queue_.committed();
      synced = false;
    } else if (const auto open = database(); open && !synced) {
      if (const auto done = open->env().sync(); !done && is_damage(done.error())) {
        open->health().condemn();
      }
      synced = true;
    }
    if (const auto open = database(); open && open->health().condemned()) {
      rebuild();
    }
    if (work.stop) {
      return;
    }
  }
}

void Store::commit(const Batch& batch) {
  const auto open = database();
  if (!open) {
    changes_dropped_ += count_of(batch);
    return;
  }
  Status done = fail(Errc::limit, "memory");
  try {
    done = write(*open, batch);
  } catch (const std::exception& problem) {  // no memory: the transaction has undone itself
    done = fail(Errc::limit, problem.what());
  }
  if (done) {
    ++batches_committed_;
    return;
  }
  if (is_damage(done.error())) {
    open->health().condemn();
  }
  give_up(batch, done.error());
}

Status Store::write(Database& database, const Batch& batch) {
  CPAWAY_ASSIGN(uint64_t evicted, database.make_room(batch.bytes));
  versions_evicted_ += evicted;
  Status done;
  for (int i = 0; i < kMaxWrites; ++i) {
    done = database.apply(batch);
    if (done || done.error().code != Errc::limit) {
      break;
    }
    CPAWAY_ASSIGN(evicted,
                  database.make_more_room(std::max<uint64_t>(batch.bytes, options_.max_size / 10)));
    versions_evicted_ += evicted;
  }
  return done;
}

void Store::give_up(const Batch& batch, const Error& error) {
  changes_dropped_ += count_of(batch);
  if (!std::exchange(warned_, true)) {
    log::warning("the store does not take what is to be remembered: ", error.to_string());
  }
}

void Store::rebuild() {
  publish(nullptr);
  if (rebuilt_ >= kMaxRebuilds) {
    log::warning("the store is damaged again; nothing is remembered from now on");
    return;
  }
  ++rebuilt_;
  log::warning("the store is damaged; it is set aside as store.damaged, and a new one made");
  auto opened = [&]() -> Result<std::shared_ptr<Database>> {
    CPAWAY_TRY(directory_.set_aside());
    return open_database();
  }();
  if (!opened) {
    log::warning("no new store, nothing is remembered from now on: ", opened.error().to_string());
    return;
  }
  publish(std::move(*opened));
}

}  // namespace cpaway::cache
