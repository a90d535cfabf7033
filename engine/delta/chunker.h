// Where a file is cut: FastCDC, so that an insertion moves only the cuts near it.
//
// Xia et al., "FastCDC", USENIX ATC 2016 (gear hash, normalised chunking, no scan below the least
// size); "The Design of Fast Content-Defined Chunking", IEEE TPDS 2020 (two bytes a round). Mount
// and agent must cut alike, and lists of chunks are kept between runs: what follows is part of the
// format, and other sizes or another table are another format.
//
//   gear[0..255]   the outputs of splitmix64, one after the other, from kGearSeed
//   scan           hash = 0 before byte `min`; for each byte from there, hash = 2 * hash +
//   gear[byte]
//                  mod 2^64; the chunk ends behind the first byte at which no bit of the mask is
//                  set
//   mask           k bits below bit 63: k = log2(average) + 2 for bytes before `average`, and
//                  log2(average) - 2 from there, which gathers the sizes around the average
//   end            a chunk ends at `max` bytes and at the end of the file
//
// The bits are the highest but one of the hash, so that each of the last 48 bytes has its say, and
// those of one mask are among those of the other. On random bytes the sizes below give a mean of
// 9.5 KiB. Pure functions; thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/hash/chunk.h"

namespace cpaway::delta {

// In bytes. With average 0 nothing is scanned and each chunk is `max` long, but the last; else
// 0 < min <= average <= max, and the average is a power of two from 64 to 2^20.
struct ChunkSizes {
  uint32_t min = 4U << 10U;
  uint32_t average = 8U << 10U;
  uint32_t max = 64U << 10U;  // kMaxChunkSize at most
};

[[nodiscard]] constexpr ChunkSizes fixed_chunks(uint32_t size) {
  return {size, 0, size};
}

inline constexpr uint64_t kGearSeed = 0x6370617761790001;  // "cpaway", 1
using GearTable = std::array<uint64_t, 256>;

[[nodiscard]] constexpr GearTable make_gear(uint64_t seed) {
  GearTable gear{};
  for (uint64_t& entry : gear) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t mixed = (seed ^ (seed >> 30U)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111eb;
    entry = mixed ^ (mixed >> 31U);
  }
  return gear;
}

// Size of the first chunk of `data`, which is at least `max` long or reaches to the end of the
// file, and is not empty.
[[nodiscard]] size_t find_cut(ByteSpan data, const ChunkSizes& sizes);

// Appends the chunks of `data` that are certain, all where it reaches to the end of the file.
// Returns the bytes that they cover; the caller keeps the rest and brings it again with more.
[[nodiscard]] size_t append_chunks(ByteSpan data, bool at_end, const ChunkSizes& sizes,
                                   hash::ChunkList& chunks);

}  // namespace cpaway::delta
