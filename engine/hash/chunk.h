// Chunks: the pieces of a file by which its versions are compared.
//
// A chunk is known by its length and its XXH3-128 hash (block_hash.h); that the hash is no proof
// against an attacker does no harm, since whoever copies a chunk looks at what it holds, and the
// SHA-256 of the whole file decides.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/hash/block_hash.h"

namespace cpaway::hash {

struct Chunk {
  BlockHash id{};
  uint32_t size = 0;  // bytes, 1 to kMaxChunkSize
  bool operator==(const Chunk&) const = default;
};

inline constexpr uint32_t kMaxChunkSize = 1U << 20U;

// The chunks of a file or of a part of it, one after the other without gaps.
using ChunkList = std::vector<Chunk>;

}  // namespace cpaway::hash
