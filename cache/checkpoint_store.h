// Checkpoints of uploads that were not committed. Tables checkpoints and blocks (FORMAT.md).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/changes.h"
#include "cache/env.h"
#include "cache/health.h"

namespace cpaway::cache {

// Blocks in the order they were acknowledged become ascending blocks without overlap: a later one
// takes the place of those it overlaps.
[[nodiscard]] std::vector<upload::AcknowledgedBlock> settle(
    std::vector<upload::AcknowledgedBlock> blocks);
[[nodiscard]] uint64_t bytes_in(std::span<const upload::AcknowledgedBlock> blocks);
// What the change makes of the checkpoint that was there. Changes may be applied twice.
[[nodiscard]] std::optional<upload::Checkpoint> apply_change(
    std::optional<upload::Checkpoint> before, const std::string& path,
    const CheckpointChange& change);

// ---- reading, on any thread

[[nodiscard]] Result<std::optional<upload::Checkpoint>> find_checkpoint(const ReadTxn& txn,
                                                                        const std::string& path,
                                                                        Health& health);
[[nodiscard]] Result<std::vector<upload::Checkpoint>> list_checkpoints(const ReadTxn& txn,
                                                                       Health& health);

// ---- writing, on the thread of the writer

class CheckpointStore {
 public:
  [[nodiscard]] static Result<CheckpointStore> load(const ReadTxn& txn, Health& health);
  [[nodiscard]] Status apply(WriteTxn& txn, const std::string& path,
                             const CheckpointChange& change);

 private:
  CheckpointStore(uint64_t next_serial, Health& health)
      : next_serial_(next_serial), health_(&health) {}
  [[nodiscard]] Status remove(WriteTxn& txn, ByteSpan key);
  // Makes room for one more.
  [[nodiscard]] Status limit_count(WriteTxn& txn);
  [[nodiscard]] Status append(WriteTxn& txn, CheckpointEntry entry, const CheckpointChange& change);

  uint64_t next_serial_;
  Health* health_;
};

}  // namespace cpaway::cache
