// Versions of remote files: their entries, chunk lists, the index of chunks, and the order of use.
// Tables files, lists, index, uses (FORMAT.md).
#pragma once

#include <optional>
#include <vector>

#include "cache/changes.h"
#include "cache/env.h"
#include "cache/health.h"

namespace cpaway::cache {

// ---- reading, on any thread

[[nodiscard]] Result<std::optional<upload::KnownVersion>> find_version(
    const ReadTxn& txn, const upload::VersionKey& key, Health& health);
// In no order.
[[nodiscard]] Result<std::vector<SimilarFile>> find_similar(const ReadTxn& txn,
                                                            const std::vector<Sample>& samples,
                                                            Health& health);

// ---- writing, on the thread of the writer

class HashIndex {
 public:
  [[nodiscard]] static Result<HashIndex> load(const ReadTxn& txn, Health& health);

  // Takes the place of what was known of the inode.
  [[nodiscard]] Status remember(WriteTxn& txn, const PendingVersion& pending);
  [[nodiscard]] Status rekey(WriteTxn& txn, const upload::VersionKey& before,
                             const upload::KnownFile& now);
  // Makes it the last to be evicted.
  [[nodiscard]] Status touch(WriteTxn& txn, const upload::VersionKey& key);
  // Forgets the version that was not used for the longest time. False where there is none.
  [[nodiscard]] Result<bool> evict_one(WriteTxn& txn);

 private:
  HashIndex(uint64_t next_list, uint64_t next_use, Health& health)
      : next_list_(next_list), next_use_(next_use), health_(&health) {}
  [[nodiscard]] Status forget(WriteTxn& txn, ByteSpan file);
  [[nodiscard]] Status add_to_index(WriteTxn& txn, const std::vector<Sample>& samples,
                                    ByteSpan file);
  [[nodiscard]] Status remove_from_index(WriteTxn& txn, const FileEntry& entry, ByteSpan file);
  [[nodiscard]] Result<std::vector<Sample>> samples_in(const ReadTxn& txn, const FileEntry& entry);
  [[nodiscard]] Status renew_use(WriteTxn& txn, FileEntry& entry, ByteSpan file);

  uint64_t next_list_;
  uint64_t next_use_;
  Health* health_;
};

}  // namespace cpaway::cache
