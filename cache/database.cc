#include "cache/database.h"

#include <unistd.h>

#include <algorithm>

#include "cache/inode_numbers.h"
#include "cache/transfer_log.h"
#include "engine/base/strings.h"

namespace cpaway::cache {
namespace {

constexpr uint64_t kMinHeadroom = uint64_t{8} << 20U;
constexpr uint64_t kEvictedInTxn = 256;
constexpr std::string_view kSchemaKey = "schema";
constexpr std::string_view kTurnKey = "turn";

uint64_t page_size() {
  return static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t map_size(uint64_t max_size) {
  const uint64_t wanted = max_size + std::max(max_size / 4, kMinHeadroom);
  return (wanted + page_size() - 1) / page_size() * page_size();
}

}  // namespace

Result<std::shared_ptr<Database>> Database::open(const std::string& directory, uint64_t max_size) {
  CPAWAY_ASSIGN(auto env, Env::open(directory, map_size(max_size)));
  CPAWAY_TRY(check_schema(*env));
  auto health = std::make_unique<Health>();
  CPAWAY_ASSIGN(const ReadTxn txn, ReadTxn::begin(*env));
  CPAWAY_ASSIGN(HashIndex index, HashIndex::load(txn, *health));
  CPAWAY_ASSIGN(CheckpointStore checkpoints, CheckpointStore::load(txn, *health));
  CPAWAY_ASSIGN(const uint64_t next_record, next_transfer_number(txn));
  return std::shared_ptr<Database>(
      new Database(std::move(env), std::move(health), max_size, index, checkpoints, next_record));
}

Status Database::check_schema(Env& env) {
  CPAWAY_ASSIGN(WriteTxn txn, WriteTxn::begin(env));
  CPAWAY_ASSIGN(const auto value, txn.get(Table::about, as_bytes(kSchemaKey)));
  if (value) {
    const auto version = decode_schema(*value);
    if (version == kSchemaVersion) {
      return {};
    }
    return version ? fail(Errc::version, concat("schema version ", *version))
                   : fail(Errc::verify, "schema version unreadable");
  }
  uint64_t entries = 0;
  for (size_t i = 0; i < kTableCount; ++i) {
    CPAWAY_ASSIGN(const uint64_t count, txn.count(static_cast<Table>(i)));
    entries += count;
  }
  if (entries > 0) {
    return fail(Errc::verify, "no schema version");
  }
  CPAWAY_TRY(txn.put(Table::about, as_bytes(kSchemaKey), encode_schema(kSchemaVersion)));
  return txn.commit();
}

Status Database::apply(const Batch& batch) {
  CPAWAY_ASSIGN(WriteTxn txn, WriteTxn::begin(*env_));
  CPAWAY_TRY(apply_in(txn, batch));
  return txn.commit();
}

Status Database::apply_in(WriteTxn& txn, const Batch& batch) {
  for (const auto& change : batch.versions) {
    CPAWAY_TRY(change->remembered ? index_.remember(txn, *change->remembered)
                                  : index_.rekey(txn, change->before, change->now));
  }
  for (const upload::VersionKey& key : batch.touched) {
    CPAWAY_TRY(index_.touch(txn, key));
  }
  for (const auto& [path, change] : batch.checkpoints) {
    CPAWAY_TRY(checkpoints_.apply(txn, path, change));
  }
  for (const auto& [file, change] : batch.numbers) {
    CPAWAY_TRY(apply_number(txn, file, change, *health_));
  }
  for (const NumberedRecord& record : batch.records) {
    CPAWAY_TRY(add_transfer(txn, record));
  }
  return {};
}

Result<uint64_t> Database::bytes_used() {
  CPAWAY_ASSIGN(const ReadTxn txn, ReadTxn::begin(*env_));
  CPAWAY_ASSIGN(const uint64_t pages, txn.pages_used());
  return pages * page_size();
}

Result<uint64_t> Database::make_room(uint64_t needed) {
  CPAWAY_ASSIGN(const uint64_t used, bytes_used());
  if (used + needed <= max_size_) {
    return uint64_t{0};
  }
  const uint64_t goal = max_size_ / 10 * 9;
  return evict_to(goal - std::min(goal, needed));
}

Result<uint64_t> Database::make_more_room(uint64_t least) {
  CPAWAY_ASSIGN(const uint64_t used, bytes_used());
  CPAWAY_ASSIGN(const uint64_t evicted, evict_to(used - std::min(used, least)));
  // LMDB reuses the pages that a transaction freed in the second transaction after it.
  CPAWAY_TRY(turn());
  CPAWAY_TRY(turn());
  return evicted;
}

Result<uint64_t> Database::evict_to(uint64_t goal) {
  uint64_t total = 0;
  for (;;) {
    CPAWAY_ASSIGN(const uint64_t evicted, evict_some(goal));
    total += evicted;
    if (evicted < kEvictedInTxn) {
      return total;
    }
  }
}

Result<uint64_t> Database::evict_some(uint64_t goal) {
  CPAWAY_ASSIGN(WriteTxn txn, WriteTxn::begin(*env_));
  uint64_t evicted = 0;
  for (; evicted < kEvictedInTxn; ++evicted) {
    CPAWAY_ASSIGN(const uint64_t pages, txn.pages_used());
    if (pages * page_size() <= goal) {
      break;
    }
    CPAWAY_ASSIGN(const bool found, index_.evict_one(txn));
    if (!found) {
      break;
    }
  }
  CPAWAY_TRY(txn.commit());
  return evicted;
}

Status Database::turn() {
  CPAWAY_ASSIGN(WriteTxn txn, WriteTxn::begin(*env_));
  CPAWAY_TRY(txn.put(Table::about, as_bytes(kTurnKey), encode_number(++turns_)));
  return txn.commit();
}

}  // namespace cpaway::cache
