#include "engine/delta/chunker.h"

#include <algorithm>
#include <bit>

#include "engine/base/check.h"

namespace cpaway::delta {
namespace {

constexpr GearTable kGear = make_gear(kGearSeed);

// Each entry times two: what a byte adds to the hash when another follows in the same round.
constexpr GearTable kGearBefore = [] {
  GearTable gear = kGear;
  for (uint64_t& entry : gear) {
    entry <<= 1U;
  }
  return gear;
}();

constexpr uint64_t mask_of(unsigned bits) {
  return ((uint64_t{1} << bits) - 1) << (63U - bits);
}

// Scans [from, to) with `mask`, going on from `hash`. Returns the length up to and with the byte
// that ends the chunk, or 0 where none does.
//
// Two bytes a round: the sum for both is formed beside the hash, so that a round waits for one
// shift and one addition and not for two of each.
size_t scan(ByteSpan data, size_t from, size_t to, uint64_t mask, uint64_t& hash) {
  const uint8_t* bytes = data.data();
  uint64_t rolling = hash;
  size_t at = from;
  for (; at + 2 <= to; at += 2) {
    const uint64_t before = kGearBefore[bytes[at]];
    const uint64_t both = before + kGear[bytes[at + 1]];
    const uint64_t moved = rolling << 2U;
    if (((moved + before) & (mask << 1U)) == 0) {
      return at + 1;
    }
    rolling = moved + both;
    if ((rolling & mask) == 0) {
      return at + 2;
    }
  }
  if (at < to) {
    rolling = (rolling << 1U) + kGear[bytes[at]];
    if ((rolling & mask) == 0) {
      return at + 1;
    }
  }
  hash = rolling;
  return 0;
}

void check_sizes(const ChunkSizes& sizes) {
  CHECK(sizes.max > 0 && sizes.max <= hash::kMaxChunkSize);
  CHECK(sizes.average == 0 ||
        (sizes.min > 0 && sizes.min <= sizes.average && sizes.average <= sizes.max &&
         sizes.average >= 64 && std::has_single_bit(sizes.average)));
}

}  // namespace

size_t find_cut(ByteSpan data, const ChunkSizes& sizes) {
  check_sizes(sizes);
  CHECK(!data.empty());
  const size_t end = std::min<size_t>(data.size(), sizes.max);
  if (sizes.average == 0 || end <= sizes.min) {
    return end;
  }
  const auto bits = static_cast<unsigned>(std::countr_zero(sizes.average));
  const size_t middle = std::min<size_t>(end, sizes.average);
  uint64_t hash = 0;
  size_t cut = scan(data, sizes.min, middle, mask_of(bits + 2), hash);
  if (cut == 0) {
    cut = scan(data, middle, end, mask_of(bits - 2), hash);
  }
  return cut == 0 ? end : cut;
}

size_t append_chunks(ByteSpan data, bool at_end, const ChunkSizes& sizes, hash::ChunkList& chunks) {
  size_t done = 0;
  while (data.size() - done >= sizes.max || (at_end && done < data.size())) {
    const ByteSpan rest = data.subspan(done);
    const size_t size = find_cut(rest, sizes);
    chunks.push_back({hash::block_hash(rest.first(size)), static_cast<uint32_t>(size)});
    done += size;
  }
  return done;
}

}  // namespace cpaway::delta
