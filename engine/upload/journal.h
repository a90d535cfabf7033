// What uploads remember of the remote host: the interface that cache implements over LMDB.
//
// Everything here is a hint. The agent checks each chunk that it copies and the SHA-256 of each
// file, so an entry that is missing, old or wrong costs bandwidth and never content. No call
// waits for a disk: reads come from mapped memory, writes are queued and committed in batches, and
// a store that is damaged or full forgets and goes on. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/hash/chunk.h"
#include "engine/hash/digest.h"

namespace cpaway::upload {

// One version of one remote file, as stat(2) on the remote host shows it. A file that was written
// to since has another key.
struct VersionKey {
  uint64_t dev = 0;
  uint64_t ino = 0;
  uint64_t size = 0;  // bytes
  int64_t mtime_s = 0;
  int64_t ctime_s = 0;
  uint32_t mtime_ns = 0;
  uint32_t ctime_ns = 0;
  bool operator==(const VersionKey&) const = default;
};

struct KnownFile {
  VersionKey key;
  std::string path;  // below the mounted directory, when it was remembered
};

struct KnownVersion {
  KnownFile file;
  hash::Sha256Value sha256{};  // all zeros where it is not known
  // All of the file; none where it is so small that asking the agent costs less than keeping them.
  hash::ChunkList chunks;
};

// A block of a staging file that the agent has acknowledged.
struct AcknowledgedBlock {
  uint64_t offset = 0;
  hash::Chunk block;
};

// An upload that has not been committed.
struct Checkpoint {
  std::string path;          // of the target
  std::string staging_name;  // in the target's directory
  uint64_t bytes_acknowledged = 0;
  int64_t changed_s = 0;                  // seconds since the epoch, of the last change
  std::vector<AcknowledgedBlock> blocks;  // ascending, without overlap
};

// How a transfer ended, for `cpaway status`.
struct TransferRecord {
  std::string path;
  std::string state;  // committed, failed, cancelled, interrupted
  std::string error;  // empty where there was none
  uint64_t size = 0;
  uint64_t bytes_written = 0;  // by the program
  uint64_t bytes_sent = 0;     // of its content, after delta and compression
  uint64_t bytes_matched = 0;  // found in a basis
  uint64_t bytes_resumed = 0;  // found in the staging file of an interrupted upload
  int64_t started_ms = 0;      // since the epoch
  int64_t ended_ms = 0;
  std::optional<hash::Sha256Value> sha256;
};

// A remote file; the time of birth tells a reused inode number apart, unless that comes within one
// tick of the clock (4 ms): the type at least, which the kernel will not see change.
struct FileIdentity {
  uint64_t dev = 0;
  uint64_t ino = 0;
  int64_t btime_s = 0;
  uint32_t btime_ns = 0;
  uint32_t type = 0;  // S_IFMT of the mode
  auto operator<=>(const FileIdentity&) const = default;
};

class Journal {
 public:
  virtual ~Journal() = default;

  // ---- versions
  // Nothing unless exactly this version is known.
  [[nodiscard]] virtual std::optional<KnownVersion> find_version(const VersionKey& key) = 0;
  // Known files that hold some of these chunks, best first, at most `limit`. Only a sample of the
  // chunks of a file is indexed, so a few are not enough to find it.
  [[nodiscard]] virtual std::vector<KnownFile> find_similar(const std::vector<hash::BlockHash>& ids,
                                                            size_t limit) = 0;
  // Replaces what was known of the same device and inode.
  virtual void remember(KnownVersion version) = 0;
  // The file was renamed, or only its metadata changed: the chunks are now those of `now`.
  virtual void rekey(const VersionKey& before, const KnownFile& now) = 0;

  // ---- checkpoints
  [[nodiscard]] virtual std::optional<Checkpoint> find_checkpoint(const std::string& path) = 0;
  [[nodiscard]] virtual std::vector<Checkpoint> checkpoints() = 0;  // without their blocks
  // Starts one for the target, in place of an older one.
  virtual void start_checkpoint(const std::string& path, const std::string& staging_name) = 0;
  // Adds a block; nothing where there is no checkpoint for the target.
  virtual void acknowledge(const std::string& path, const AcknowledgedBlock& block) = 0;
  virtual void drop_checkpoint(const std::string& path) = 0;

  // ---- inode numbers: what programs here know a file by whose remote inode has another one
  [[nodiscard]] virtual std::optional<uint64_t> find_number(const FileIdentity& file) = 0;
  // Whether it was remembered of another file than this.
  [[nodiscard]] virtual bool is_taken(uint64_t number, const FileIdentity& by_others_than) = 0;
  // A number is of one file: an older one loses it.
  virtual void remember_number(const FileIdentity& file, uint64_t number) = 0;
  virtual void forget_number(const FileIdentity& file, uint64_t number) = 0;

  // ---- history
  virtual void record(TransferRecord record) = 0;
  [[nodiscard]] virtual std::vector<TransferRecord> recent(size_t limit) = 0;  // newest first
};

}  // namespace cpaway::upload
