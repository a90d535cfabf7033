// Keys and values of the store's tables. FORMAT.md, "Layout", is the text; this is its code.
//
// Decoders judge: nothing comes back for bytes that an encoder could not have written.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/record.h"
#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/upload/journal.h"

namespace cpaway::cache {

inline constexpr uint32_t kSchemaVersion = 1;
inline constexpr size_t kMaxPathSize = 4095;
inline constexpr size_t kMaxNameSize = 255;
inline constexpr size_t kMaxListChunks = size_t{1} << 24U;
inline constexpr size_t kMinListChunks = 96;  // below, no list is kept

// What the index knows a chunk by.
using Sample = uint64_t;
// The samples among them, ascending, each once.
[[nodiscard]] std::vector<Sample> samples_of(const hash::ChunkList& chunks);
[[nodiscard]] std::vector<Sample> samples_of(const std::vector<hash::BlockHash>& ids);

// ---- keys

[[nodiscard]] Bytes file_key(uint64_t dev, uint64_t ino);
inline Bytes file_key(const upload::VersionKey& key) {
  return file_key(key.dev, key.ino);
}
struct FileId {
  uint64_t dev = 0;
  uint64_t ino = 0;
  auto operator<=>(const FileId&) const = default;
};
[[nodiscard]] std::optional<FileId> decode_file_key(ByteSpan key);

[[nodiscard]] Bytes number_key(uint64_t number);
[[nodiscard]] std::optional<uint64_t> decode_number_key(ByteSpan key);
[[nodiscard]] Bytes segment_key(uint64_t owner, uint32_t segment);
// The owner, where the key is one of a segment.
[[nodiscard]] std::optional<uint64_t> decode_segment_owner(ByteSpan key);
[[nodiscard]] Bytes index_key(Sample sample, ByteSpan file);
// The file key in it, where it is one of this sample.
[[nodiscard]] std::optional<ByteSpan> decode_index_file(ByteSpan key, Sample sample);
[[nodiscard]] Bytes checkpoint_key(const std::string& path);

// ---- values

[[nodiscard]] Bytes encode_number(uint64_t number);
[[nodiscard]] std::optional<uint64_t> decode_number(ByteSpan value);
[[nodiscard]] Bytes encode_schema(uint32_t version);
[[nodiscard]] std::optional<uint32_t> decode_schema(ByteSpan value);

struct FileEntry {
  upload::VersionKey key;
  uint64_t use = 0;
  uint64_t list = 0;  // 0: no list is kept
  uint32_t chunk_count = 0;
  hash::Sha256Value sha256{};
  std::vector<Sample> samples;  // where no list is kept
  std::string path;
};
[[nodiscard]] Bytes encode_file(const FileEntry& entry);
[[nodiscard]] std::optional<FileEntry> decode_file(ByteSpan key, ByteSpan value);

// The list as the values of its segments, in order.
// Gives each segment to `put`, in order: all of a long list at once would take as much again.
[[nodiscard]] Status encode_list(const hash::ChunkList& chunks,
                                 const std::function<Status(const Bytes&)>& put);
// Adds the segment's chunks, `limit` at most in all; false where it does not decode.
[[nodiscard]] bool decode_segment(ByteSpan value, size_t limit, hash::ChunkList& chunks);
// The bytes that the list takes, for accounting before it is written.
[[nodiscard]] uint64_t list_size(const hash::ChunkList& chunks);

struct NumberEntry {
  int64_t btime_s = 0;
  uint32_t btime_ns = 0;
  uint32_t type = 0;  // S_IFMT of the mode
  uint64_t number = 0;
  [[nodiscard]] bool is_of(const upload::FileIdentity& file) const {
    return btime_s == file.btime_s && btime_ns == file.btime_ns && type == file.type;
  }
};
[[nodiscard]] Bytes encode_inode_number(const NumberEntry& entry);
[[nodiscard]] std::optional<NumberEntry> decode_inode_number(ByteSpan value);

struct CheckpointEntry {
  uint64_t serial = 0;
  uint32_t segments = 0;
  uint64_t block_count = 0;
  int64_t changed_s = 0;
  std::string staging_name;
  std::string path;
};
[[nodiscard]] Bytes encode_checkpoint(const CheckpointEntry& entry);
[[nodiscard]] std::optional<CheckpointEntry> decode_checkpoint(ByteSpan value);
[[nodiscard]] Bytes encode_blocks(std::span<const upload::AcknowledgedBlock> blocks);
[[nodiscard]] bool decode_blocks(ByteSpan value, size_t limit,
                                 std::vector<upload::AcknowledgedBlock>& blocks);

[[nodiscard]] Bytes encode_transfer(const upload::TransferRecord& record);
[[nodiscard]] std::optional<upload::TransferRecord> decode_transfer(ByteSpan value);

}  // namespace cpaway::cache
