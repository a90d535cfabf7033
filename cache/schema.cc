#include "cache/schema.h"

#include <sys/stat.h>

#include <algorithm>
#include <bit>

#include "engine/hash/digest.h"

namespace cpaway::cache {
namespace {

constexpr uint8_t kSampleMask = 0x0f;
constexpr uint8_t kHasSha256 = 0x01;
constexpr size_t kIdSize = sizeof(hash::BlockHash);
constexpr size_t kNumberKeySize = sizeof(uint64_t);
constexpr size_t kSegmentKeySize = sizeof(uint64_t) + sizeof(uint32_t);
constexpr size_t kCheckpointKeySize = 16;
// With LMDB's page header, one page of 4096 bytes.
constexpr size_t kPageSegmentSize = 4080;
// With LMDB's headers and our key, eight fill a leaf page.
constexpr size_t kPieceSize = 488;
constexpr size_t kMaxPiecesSize = 6 * kPieceSize;
constexpr uint32_t kTypeShift = 12;

bool append_sample(const hash::BlockHash& id, std::vector<Sample>& samples) {
  if ((id[0] & kSampleMask) != 0) {
    return false;
  }
  samples.push_back(load_be<Sample>(id.data()));
  return true;
}

void sort_unique(std::vector<Sample>& samples) {
  std::sort(samples.begin(), samples.end());
  samples.erase(std::unique(samples.begin(), samples.end()), samples.end());
}

size_t significant_bytes(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value)) + 7) / 8;
}

void append_significant(Bytes& out, uint64_t value) {
  uint8_t bytes[sizeof value];
  store_be(bytes, value);
  out.insert(out.end(), std::end(bytes) - significant_bytes(value), std::end(bytes));
}

uint64_t load_significant(ByteSpan bytes) {
  uint64_t value = 0;
  for (const uint8_t byte : bytes) {
    value = (value << 8U) | byte;
  }
  return value;
}

size_t chunk_size(const hash::Chunk& chunk) {
  return varint_size(chunk.size) + kIdSize;
}

void write_chunk(RecordWriter& out, const hash::Chunk& chunk) {
  out.varint(chunk.size);
  out.raw(chunk.id);
}

hash::Chunk read_chunk(RecordReader& in) {
  hash::Chunk chunk;
  const uint64_t size = in.varint();
  const ByteSpan id = in.raw(kIdSize);
  if (size == 0 || size > hash::kMaxChunkSize || id.empty()) {
    in.fail();
    return chunk;
  }
  chunk.size = static_cast<uint32_t>(size);
  std::copy(id.begin(), id.end(), chunk.id.begin());
  return chunk;
}

hash::Sha256Value read_sha256(RecordReader& in) {
  hash::Sha256Value value{};
  const ByteSpan bytes = in.raw(value.size());
  std::copy(bytes.begin(), bytes.end(), value.begin());
  return value;
}

// Differences of times wrap around: hostile clocks must not overflow.
int64_t wrapped_sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapped_difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

}  // namespace

std::vector<Sample> samples_of(const hash::ChunkList& chunks) {
  std::vector<Sample> samples;
  for (const hash::Chunk& chunk : chunks) {
    append_sample(chunk.id, samples);
  }
  sort_unique(samples);
  return samples;
}

std::vector<Sample> samples_of(const std::vector<hash::BlockHash>& ids) {
  std::vector<Sample> samples;
  for (const hash::BlockHash& id : ids) {
    append_sample(id, samples);
  }
  sort_unique(samples);
  return samples;
}

// ---- keys

Bytes file_key(uint64_t dev, uint64_t ino) {
  Bytes key;
  key.push_back(static_cast<uint8_t>((significant_bytes(dev) << 4U) | significant_bytes(ino)));
  append_significant(key, dev);
  append_significant(key, ino);
  return key;
}

std::optional<FileId> decode_file_key(ByteSpan key) {
  if (key.empty()) {
    return std::nullopt;
  }
  const size_t dev_size = key[0] >> 4U;
  const size_t ino_size = key[0] & 0x0fU;
  if (dev_size > sizeof(uint64_t) || ino_size > sizeof(uint64_t) ||
      key.size() != 1 + dev_size + ino_size) {
    return std::nullopt;
  }
  return FileId{load_significant(key.subspan(1, dev_size)),
                load_significant(key.subspan(1 + dev_size))};
}

Bytes number_key(uint64_t number) {
  Bytes key(kNumberKeySize);
  store_be(key.data(), number);
  return key;
}

std::optional<uint64_t> decode_number_key(ByteSpan key) {
  return key.size() == kNumberKeySize ? std::optional(load_be<uint64_t>(key.data())) : std::nullopt;
}

Bytes segment_key(uint64_t owner, uint32_t segment) {
  Bytes key(kSegmentKeySize);
  store_be(key.data(), owner);
  store_be(key.data() + sizeof owner, segment);
  return key;
}

std::optional<uint64_t> decode_segment_owner(ByteSpan key) {
  return key.size() == kSegmentKeySize ? std::optional(load_be<uint64_t>(key.data()))
                                       : std::nullopt;
}

Bytes index_key(Sample sample, ByteSpan file) {
  Bytes key(sizeof sample);
  store_be(key.data(), sample);
  key.insert(key.end(), file.begin(), file.end());
  return key;
}

std::optional<ByteSpan> decode_index_file(ByteSpan key, Sample sample) {
  if (key.size() <= sizeof sample || load_be<Sample>(key.data()) != sample) {
    return std::nullopt;
  }
  return key.subspan(sizeof sample);
}

Bytes checkpoint_key(const std::string& path) {
  const auto digest = hash::sha256(as_bytes(path));
  return {digest.begin(), digest.begin() + kCheckpointKeySize};
}

// ---- values

Bytes encode_number(uint64_t number) {
  RecordWriter out;
  out.varint(number);
  return out.finish();
}

std::optional<uint64_t> decode_number(ByteSpan value) {
  RecordReader in(value);
  const uint64_t number = in.varint();
  return in.complete() ? std::optional(number) : std::nullopt;
}

Bytes encode_schema(uint32_t version) {
  RecordWriter out;
  out.u32(version);
  return out.finish();
}

std::optional<uint32_t> decode_schema(ByteSpan value) {
  RecordReader in(value);
  const uint32_t version = in.u32();
  return in.failed() ? std::nullopt : std::optional(version);
}

Bytes encode_file(const FileEntry& entry) {
  const upload::VersionKey& key = entry.key;
  const bool has_sha256 = entry.sha256 != hash::Sha256Value{};
  RecordWriter out;
  out.u8(has_sha256 ? kHasSha256 : 0);
  out.varint(key.size);
  out.zigzag(key.mtime_s);
  out.u32(key.mtime_ns);
  out.zigzag(wrapped_difference(key.ctime_s, key.mtime_s));
  out.u32(key.ctime_ns);
  out.varint(entry.use);
  out.varint(entry.list);
  out.varint(entry.chunk_count);
  if (has_sha256) {
    out.raw(entry.sha256);
  }
  if (entry.list == 0) {
    out.varint(entry.samples.size());
    for (const Sample sample : entry.samples) {
      out.u64(sample);
    }
  }
  out.raw(as_bytes(entry.path));
  return out.finish();
}

std::optional<FileEntry> decode_file(ByteSpan key, ByteSpan value) {
  const auto id = decode_file_key(key);
  RecordReader in(value);
  FileEntry entry;
  const uint8_t flags = in.u8();
  entry.key.size = in.varint();
  entry.key.mtime_s = in.zigzag();
  entry.key.mtime_ns = in.u32();
  entry.key.ctime_s = wrapped_sum(in.zigzag(), entry.key.mtime_s);
  entry.key.ctime_ns = in.u32();
  entry.use = in.varint();
  entry.list = in.varint();
  const uint64_t chunk_count = in.varint();
  if (flags == kHasSha256) {
    entry.sha256 = read_sha256(in);
  }
  const uint64_t sample_count = entry.list == 0 ? in.varint() : 0;
  if (!id || flags > kHasSha256 || chunk_count > kMaxListChunks || sample_count > kMinListChunks) {
    return std::nullopt;
  }
  for (uint64_t i = 0; i < sample_count; ++i) {
    entry.samples.push_back(in.u64());
  }
  entry.path = in.tail(kMaxPathSize);
  entry.key.dev = id->dev;
  entry.key.ino = id->ino;
  entry.chunk_count = static_cast<uint32_t>(chunk_count);
  return in.complete() ? std::optional(std::move(entry)) : std::nullopt;
}

uint64_t list_size(const hash::ChunkList& chunks) {
  uint64_t size = 0;
  for (const hash::Chunk& chunk : chunks) {
    size += chunk_size(chunk);
  }
  return size;
}

Status encode_list(const hash::ChunkList& chunks, const std::function<Status(const Bytes&)>& put) {
  uint64_t remaining = list_size(chunks);
  RecordWriter out;
  size_t limit = remaining > kMaxPiecesSize ? kPageSegmentSize : kPieceSize;
  for (const hash::Chunk& chunk : chunks) {
    if (out.size() + chunk_size(chunk) > limit) {
      CPAWAY_TRY(put(out.finish()));
      out = RecordWriter();
      limit = remaining > kMaxPiecesSize ? kPageSegmentSize : kPieceSize;
    }
    write_chunk(out, chunk);
    remaining -= chunk_size(chunk);
  }
  return out.size() > kCheckSize ? put(out.finish()) : Status();
}

bool decode_segment(ByteSpan value, size_t limit, hash::ChunkList& chunks) {
  RecordReader in(value);
  while (!in.failed() && !in.at_end()) {
    const hash::Chunk chunk = read_chunk(in);
    if (in.failed() || chunks.size() >= limit) {
      return false;
    }
    chunks.push_back(chunk);
  }
  return !in.failed();
}

Bytes encode_inode_number(const NumberEntry& entry) {
  RecordWriter out;
  out.zigzag(entry.btime_s);
  out.u32(entry.btime_ns);
  out.varint(entry.type >> kTypeShift);
  out.varint(entry.number);
  return out.finish();
}

std::optional<NumberEntry> decode_inode_number(ByteSpan value) {
  RecordReader in(value);
  NumberEntry entry;
  entry.btime_s = in.zigzag();
  entry.btime_ns = in.u32();
  const uint64_t type = in.varint();
  entry.number = in.varint();
  if (!in.complete() || type > (S_IFMT >> kTypeShift)) {
    return std::nullopt;
  }
  entry.type = static_cast<uint32_t>(type) << kTypeShift;
  return entry;
}

Bytes encode_checkpoint(const CheckpointEntry& entry) {
  RecordWriter out;
  out.varint(entry.serial);
  out.varint(entry.segments);
  out.varint(entry.block_count);
  out.zigzag(entry.changed_s);
  out.text(entry.staging_name);
  out.raw(as_bytes(entry.path));
  return out.finish();
}

std::optional<CheckpointEntry> decode_checkpoint(ByteSpan value) {
  RecordReader in(value);
  CheckpointEntry entry;
  entry.serial = in.varint();
  const uint64_t segments = in.varint();
  entry.block_count = in.varint();
  entry.changed_s = in.zigzag();
  entry.staging_name = in.text(kMaxNameSize);
  entry.path = in.tail(kMaxPathSize);
  if (!in.complete() || segments > UINT32_MAX - 1) {
    return std::nullopt;
  }
  entry.segments = static_cast<uint32_t>(segments);
  return entry;
}

Bytes encode_blocks(std::span<const upload::AcknowledgedBlock> blocks) {
  RecordWriter out;
  for (const upload::AcknowledgedBlock& acknowledged : blocks) {
    out.varint(acknowledged.offset);
    write_chunk(out, acknowledged.block);
  }
  return out.finish();
}

bool decode_blocks(ByteSpan value, size_t limit, std::vector<upload::AcknowledgedBlock>& blocks) {
  RecordReader in(value);
  while (!in.failed() && !in.at_end()) {
    upload::AcknowledgedBlock acknowledged;
    acknowledged.offset = in.varint();
    acknowledged.block = read_chunk(in);
    const bool ends = acknowledged.offset <= UINT64_MAX - acknowledged.block.size;
    if (in.failed() || !ends || blocks.size() >= limit) {
      return false;
    }
    blocks.push_back(acknowledged);
  }
  return !in.failed();
}

Bytes encode_transfer(const upload::TransferRecord& record) {
  RecordWriter out;
  out.text(record.path);
  out.text(record.state);
  out.text(record.error);
  out.varint(record.size);
  out.varint(record.bytes_written);
  out.varint(record.bytes_sent);
  out.varint(record.bytes_matched);
  out.varint(record.bytes_resumed);
  out.zigzag(record.started_ms);
  out.zigzag(record.ended_ms);
  out.u8(record.sha256 ? 1 : 0);
  if (record.sha256) {
    out.raw(*record.sha256);
  }
  return out.finish();
}

std::optional<upload::TransferRecord> decode_transfer(ByteSpan value) {
  RecordReader in(value);
  upload::TransferRecord record;
  record.path = in.text(kMaxPathSize);
  record.state = in.text(kMaxNameSize);
  record.error = in.text(kMaxPathSize);
  record.size = in.varint();
  record.bytes_written = in.varint();
  record.bytes_sent = in.varint();
  record.bytes_matched = in.varint();
  record.bytes_resumed = in.varint();
  record.started_ms = in.zigzag();
  record.ended_ms = in.zigzag();
  const uint8_t has_sha256 = in.u8();
  if (has_sha256 == 1) {
    record.sha256 = read_sha256(in);
  }
  return in.complete() && has_sha256 <= 1 ? std::optional(std::move(record)) : std::nullopt;
}

}  // namespace cpaway::cache
