#include "engine/delta/chunk_codec.h"

#include <algorithm>

#include "engine/base/check.h"

namespace cpaway::delta {
namespace {

constexpr size_t kMaxSizeBytes = 3;
constexpr uint8_t kMore = 0x80;
constexpr size_t kIdSize = sizeof(hash::BlockHash);
constexpr size_t kMinEntrySize = 1 + kIdSize;

// Reads a size from the front of `in` and returns the bytes that it takes, 0 where it is
// incomplete.
Result<size_t> decode_size(ByteSpan in, uint32_t& size) {
  uint32_t value = 0;
  for (size_t at = 0; at < kMaxSizeBytes; ++at) {
    if (at == in.size()) {
      return 0;
    }
    value |= static_cast<uint32_t>(in[at] & ~kMore) << (7 * at);
    if ((in[at] & kMore) == 0) {
      const bool too_long = at > 0 && in[at] == 0;
      if (too_long || value == 0 || value > hash::kMaxChunkSize) {
        break;
      }
      size = value;
      return at + 1;
    }
  }
  return fail(Errc::protocol, "malformed size of a chunk");
}

}  // namespace

void encode_chunks(const hash::ChunkList& chunks, Bytes& out) {
  out.reserve(out.size() + chunks.size() * (kMaxSizeBytes + kIdSize));
  for (const hash::Chunk& chunk : chunks) {
    CHECK(chunk.size > 0 && chunk.size <= hash::kMaxChunkSize);
    uint32_t rest = chunk.size;
    for (; rest >= kMore; rest >>= 7U) {
      out.push_back(static_cast<uint8_t>(rest | kMore));
    }
    out.push_back(static_cast<uint8_t>(rest));
    out.insert(out.end(), chunk.id.begin(), chunk.id.end());
  }
}

Result<size_t> decode_chunks(ByteSpan in, size_t max_chunks, hash::ChunkList& chunks) {
  if (max_chunks > chunks.size()) {
    chunks.reserve(std::min(max_chunks, chunks.size() + in.size() / kMinEntrySize));
  }
  size_t done = 0;
  while (done < in.size() && chunks.size() < max_chunks) {
    hash::Chunk chunk;
    CPAWAY_ASSIGN(const size_t size_bytes, decode_size(in.subspan(done), chunk.size));
    const ByteSpan rest = in.subspan(done + size_bytes);
    if (size_bytes == 0 || rest.size() < kIdSize) {
      break;
    }
    std::copy_n(rest.begin(), kIdSize, chunk.id.begin());
    chunks.push_back(chunk);
    done += size_bytes + kIdSize;
  }
  return done;
}

Result<hash::ChunkList> decode_chunk_list(ByteSpan in, size_t max_chunks) {
  hash::ChunkList chunks;
  CPAWAY_ASSIGN(const size_t done, decode_chunks(in, max_chunks, chunks));
  if (done < in.size()) {
    return chunks.size() >= max_chunks ? fail(Errc::limit, "too many chunks")
                                       : fail(Errc::protocol, "chunk list cut short");
  }
  return chunks;
}

}  // namespace cpaway::delta
