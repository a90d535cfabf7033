// What callers asked the store to write, until it is committed. Plain values: ChangeQueue gathers
// them, Database writes them, and readers lay them over what the database holds.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/schema.h"
#include "engine/upload/journal.h"

namespace cpaway::cache {

struct PendingVersion {
  upload::KnownVersion version;  // without chunks where no list is kept
  uint32_t chunk_count = 0;
  std::vector<Sample> samples;
};

// A version was remembered, or one became another (rekey).
struct VersionChange {
  std::shared_ptr<const PendingVersion> remembered;  // null: rekey
  upload::VersionKey before;
  upload::KnownFile now;
};
using VersionChanges = std::vector<std::shared_ptr<const VersionChange>>;

// All that happened to one checkpoint.
struct CheckpointChange {
  // What it builds on: what was there before, an empty checkpoint, or nothing: it was dropped.
  enum class Base : uint8_t { before, fresh, none };
  Base base = Base::before;
  std::string staging_name;  // of a fresh one
  int64_t changed_s = 0;
  std::vector<upload::AcknowledgedBlock> blocks;  // in the order they came
};
using CheckpointChanges = std::map<std::string, CheckpointChange>;

// What became of the inode number of one file.
struct NumberChange {
  std::optional<NumberEntry> entry;  // none: forgotten, if it is this one:
  uint64_t forgotten = 0;
};
using NumberChanges = std::map<FileId, NumberChange>;

struct NumberedRecord {
  uint64_t number = 0;
  upload::TransferRecord record;
};

struct Batch {
  VersionChanges versions;
  CheckpointChanges checkpoints;
  std::vector<NumberedRecord> records;
  NumberChanges numbers;
  std::map<uint64_t, std::optional<FileId>> owners;  // of the numbers that changed
  std::vector<upload::VersionKey> touched;           // found: used again
  size_t bytes = 0;                                  // in memory and, roughly, in the store

  [[nodiscard]] bool empty() const {
    return versions.empty() && checkpoints.empty() && records.empty() && touched.empty() &&
           numbers.empty();
  }
};

// Where to find a version, as the changes have it.
struct Resolved {
  bool gone = false;                              // replaced, or known under another key now
  std::shared_ptr<const PendingVersion> pending;  // it is here
  upload::VersionKey stored_as;                   // or, where it is neither, in the database
  std::optional<upload::KnownFile> now;           // what it is called since
};
[[nodiscard]] Resolved resolve(const VersionChanges& changes, const upload::VersionKey& key);

struct SimilarFile {
  upload::KnownFile file;
  size_t hits = 0;  // samples in common
};
// `found` in the database, made current by the changes; the best first.
[[nodiscard]] std::vector<SimilarFile> merge_similar(const VersionChanges& changes,
                                                     const std::vector<Sample>& samples,
                                                     std::vector<SimilarFile> found);

}  // namespace cpaway::cache
