#include "cache/checkpoint_store.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace cpaway::cache {
namespace {

constexpr uint64_t kMaxCheckpoints = 4096;
constexpr size_t kMaxBlocks = size_t{1} << 22U;
// Small enough to share a leaf page.
constexpr size_t kBlocksInSegment = 80;

using upload::AcknowledgedBlock;
using upload::Checkpoint;

uint64_t end_of(const AcknowledgedBlock& block) {
  return block.offset + block.block.size;
}

bool is_settled(const std::vector<AcknowledgedBlock>& blocks) {
  for (size_t i = 1; i < blocks.size(); ++i) {
    if (blocks[i].offset < end_of(blocks[i - 1])) {
      return false;
    }
  }
  return true;
}

// Segments that are missing or do not decode are skipped: their blocks are sent again.
Result<std::vector<AcknowledgedBlock>> read_blocks(const ReadTxn& txn, const CheckpointEntry& entry,
                                                   Health& health) {
  std::vector<AcknowledgedBlock> blocks;
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::blocks));
  CPAWAY_ASSIGN(bool found, cursor.seek(segment_key(entry.serial, 0)));
  while (found && decode_segment_owner(cursor.key()) == entry.serial) {
    const size_t good_count = blocks.size();
    if (!decode_blocks(cursor.value(), kMaxBlocks, blocks)) {
      blocks.resize(good_count);
      health.add_bad_value();
    }
    CPAWAY_ASSIGN(found, cursor.next());
  }
  return settle(std::move(blocks));
}

Result<Checkpoint> read_checkpoint(const ReadTxn& txn, CheckpointEntry entry, Health& health) {
  Checkpoint checkpoint;
  CPAWAY_ASSIGN(checkpoint.blocks, read_blocks(txn, entry, health));
  checkpoint.path = std::move(entry.path);
  checkpoint.staging_name = std::move(entry.staging_name);
  checkpoint.bytes_acknowledged = bytes_in(checkpoint.blocks);
  checkpoint.changed_s = entry.changed_s;
  return checkpoint;
}

Result<std::optional<CheckpointEntry>> get_entry(const ReadTxn& txn, ByteSpan key, Health& health) {
  CPAWAY_ASSIGN(const auto value, txn.get(Table::checkpoints, key));
  if (!value) {
    return std::optional<CheckpointEntry>();
  }
  auto entry = decode_checkpoint(*value);
  if (!entry) {
    health.add_bad_value();
  }
  return entry;
}

// Visits all entries that decode: visit(key, entry) returns a Status.
template <typename Visit>
Status for_each_entry(const ReadTxn& txn, Health& health, Visit visit) {
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::checkpoints));
  CPAWAY_ASSIGN(bool found, cursor.first());
  while (found) {
    if (auto entry = decode_checkpoint(cursor.value())) {
      CPAWAY_TRY(visit(cursor.key(), std::move(*entry)));
    } else {
      health.add_bad_value();
    }
    CPAWAY_ASSIGN(found, cursor.next());
  }
  return {};
}

}  // namespace

std::vector<AcknowledgedBlock> settle(std::vector<AcknowledgedBlock> blocks) {
  if (is_settled(blocks)) {
    return blocks;
  }
  std::map<uint64_t, AcknowledgedBlock> by_offset;
  for (const AcknowledgedBlock& block : blocks) {
    auto at = by_offset.lower_bound(block.offset);
    if (at != by_offset.begin() && end_of(std::prev(at)->second) > block.offset) {
      --at;
    }
    while (at != by_offset.end() && at->first < end_of(block)) {
      at = by_offset.erase(at);
    }
    by_offset.emplace(block.offset, block);
  }
  blocks.clear();
  for (const auto& [offset, block] : by_offset) {
    blocks.push_back(block);
  }
  return blocks;
}

uint64_t bytes_in(std::span<const AcknowledgedBlock> blocks) {
  uint64_t bytes = 0;
  for (const AcknowledgedBlock& block : blocks) {
    bytes += block.block.size;
  }
  return bytes;
}

std::optional<Checkpoint> apply_change(std::optional<Checkpoint> before, const std::string& path,
                                       const CheckpointChange& change) {
  if (change.base == CheckpointChange::Base::none) {
    return std::nullopt;
  }
  if (change.base == CheckpointChange::Base::fresh) {
    before.emplace();
    before->path = path;
    before->staging_name = change.staging_name;
  }
  if (before) {
    before->blocks.insert(before->blocks.end(), change.blocks.begin(), change.blocks.end());
    before->blocks = settle(std::move(before->blocks));
    before->bytes_acknowledged = bytes_in(before->blocks);
    before->changed_s = change.changed_s;
  }
  return before;
}

// ---- reading

Result<std::optional<Checkpoint>> find_checkpoint(const ReadTxn& txn, const std::string& path,
                                                  Health& health) {
  CPAWAY_ASSIGN(auto entry, get_entry(txn, checkpoint_key(path), health));
  if (!entry || entry->path != path) {
    return std::optional<Checkpoint>();
  }
  CPAWAY_ASSIGN(auto checkpoint, read_checkpoint(txn, std::move(*entry), health));
  return std::optional(std::move(checkpoint));
}

Result<std::vector<Checkpoint>> list_checkpoints(const ReadTxn& txn, Health& health) {
  std::vector<Checkpoint> all;
  CPAWAY_TRY(for_each_entry(txn, health, [&](ByteSpan, CheckpointEntry entry) -> Status {
    CPAWAY_ASSIGN(auto checkpoint, read_checkpoint(txn, std::move(entry), health));
    checkpoint.blocks = {};
    all.push_back(std::move(checkpoint));
    return {};
  }));
  return all;
}

// ---- writing

Result<CheckpointStore> CheckpointStore::load(const ReadTxn& txn, Health& health) {
  uint64_t last_serial = 0;
  CPAWAY_TRY(for_each_entry(txn, health, [&](ByteSpan, const CheckpointEntry& entry) -> Status {
    last_serial = std::max(last_serial, entry.serial);
    return {};
  }));
  // Blocks without a checkpoint, which damage may leave behind, must not become those of another.
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::blocks));
  CPAWAY_ASSIGN(const bool found, cursor.last());
  if (found) {
    last_serial = std::max(last_serial, decode_segment_owner(cursor.key()).value_or(0));
  }
  return CheckpointStore(last_serial + 1, health);
}

Status CheckpointStore::apply(WriteTxn& txn, const std::string& path,
                              const CheckpointChange& change) {
  const Bytes key = checkpoint_key(path);
  if (change.base != CheckpointChange::Base::before) {
    CPAWAY_TRY(remove(txn, key));
  }
  if (change.base == CheckpointChange::Base::none) {
    return {};
  }
  if (change.base == CheckpointChange::Base::fresh) {
    CPAWAY_TRY(limit_count(txn));
    CheckpointEntry entry;
    entry.serial = next_serial_++;
    entry.staging_name = change.staging_name;
    entry.path = path;
    return append(txn, std::move(entry), change);
  }
  CPAWAY_ASSIGN(auto entry, get_entry(txn, key, *health_));
  return entry && entry->path == path ? append(txn, std::move(*entry), change) : Status();
}

Status CheckpointStore::append(WriteTxn& txn, CheckpointEntry entry,
                               const CheckpointChange& change) {
  std::span<const AcknowledgedBlock> blocks = change.blocks;
  const uint64_t room = kMaxBlocks - std::min<uint64_t>(kMaxBlocks, entry.block_count);
  blocks = blocks.first(std::min<size_t>(blocks.size(), room));
  entry.block_count += blocks.size();
  entry.changed_s = change.changed_s;
  while (!blocks.empty()) {
    const auto some = blocks.first(std::min(blocks.size(), kBlocksInSegment));
    CPAWAY_TRY(
        txn.put(Table::blocks, segment_key(entry.serial, entry.segments++), encode_blocks(some)));
    blocks = blocks.subspan(some.size());
  }
  return txn.put(Table::checkpoints, checkpoint_key(entry.path), encode_checkpoint(entry));
}

Status CheckpointStore::remove(WriteTxn& txn, ByteSpan key) {
  CPAWAY_ASSIGN(const auto entry, get_entry(txn, key, *health_));
  CPAWAY_TRY(txn.erase(Table::checkpoints, key));
  for (uint32_t segment = 0; entry && segment < entry->segments; ++segment) {
    CPAWAY_ASSIGN(const bool erased, txn.erase(Table::blocks, segment_key(entry->serial, segment)));
    if (!erased) {
      break;
    }
  }
  return {};
}

Status CheckpointStore::limit_count(WriteTxn& txn) {
  CPAWAY_ASSIGN(const uint64_t count, txn.count(Table::checkpoints));
  if (count < kMaxCheckpoints) {
    return {};
  }
  Bytes oldest;
  int64_t oldest_s = 0;
  CPAWAY_TRY(
      for_each_entry(txn, *health_, [&](ByteSpan key, const CheckpointEntry& entry) -> Status {
        if (oldest.empty() || entry.changed_s < oldest_s) {
          oldest.assign(key.begin(), key.end());
          oldest_s = entry.changed_s;
        }
        return {};
      }));
  return oldest.empty() ? Status() : remove(txn, oldest);
}

}  // namespace cpaway::cache
