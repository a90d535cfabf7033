#include "engine/delta/chunker.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/hash/digest.h"
#include "tests/engine/delta/content.h"

namespace cpaway::testing {
namespace {

using delta::append_chunks;
using delta::ChunkSizes;
using delta::find_cut;

constexpr ChunkSizes kSizes;

// The header's words, byte by byte.
size_t plain_cut(ByteSpan data, const ChunkSizes& sizes) {
  static constexpr delta::GearTable kGear = delta::make_gear(delta::kGearSeed);
  unsigned bits = 0;
  while ((2U << bits) <= sizes.average) {
    ++bits;
  }
  uint64_t hash = 0;
  for (size_t at = sizes.min; at < std::min<size_t>(data.size(), sizes.max); ++at) {
    hash = 2 * hash + kGear[data[at]];
    const unsigned mask_bits = at < sizes.average ? bits + 2 : bits - 2;
    if ((hash << 1U) >> (64 - mask_bits) == 0) {
      return at + 1;
    }
  }
  return std::min<size_t>(data.size(), sizes.max);
}

std::set<size_t> cuts_of(ByteSpan content) {
  std::set<size_t> cuts;
  size_t at = 0;
  for (const hash::Chunk& chunk : chunks_of(content)) {
    cuts.insert(at += chunk.size);
  }
  return cuts;
}

// Lists of chunks are kept and sent: neither the table nor the cuts may ever change.
TEST(Chunker, CutsAsItAlwaysDid) {
  constexpr delta::GearTable kGear = delta::make_gear(delta::kGearSeed);
  EXPECT_EQ(kGear[0], 0x46a104348432f552U);
  EXPECT_EQ(kGear[255], 0x3a42cc3b50ce016dU);
  std::vector<uint32_t> sizes;
  Bytes content(60'000);
  uint32_t state = 1;
  for (uint8_t& byte : content) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(state >> 24U);
  }
  for (const hash::Chunk& chunk : chunks_of(content)) {
    sizes.push_back(chunk.size);
  }
  EXPECT_EQ(sizes, (std::vector<uint32_t>{10685, 11101, 19894, 9403, 8917}));
}

TEST(Chunker, CutsAsTheHeaderSays) {
  const Bytes random = random_bytes(1 << 20, 7);
  const Bytes repetitive = repetitive_bytes(1 << 20, 8);
  const ChunkSizes all[] = {
      kSizes, {1, 64, 1000}, {100, 128, 129}, {4095, 8192, 65535}, {7, 64, 64}};
  for (const ChunkSizes& sizes : all) {
    for (const Bytes* content : {&random, &repetitive}) {
      for (size_t at = 0; at < 300'000; at += 1777) {
        const ByteSpan rest = ByteSpan(*content).subspan(at);
        ASSERT_EQ(find_cut(rest, sizes), plain_cut(rest, sizes)) << at << " " << sizes.max;
        const ByteSpan end = rest.first(1 + at % 20'000);
        ASSERT_EQ(find_cut(end, sizes), plain_cut(end, sizes)) << at << " " << sizes.max;
      }
    }
  }
}

// Metadata of 18 bytes a chunk stays below a quarter of a percent.
TEST(Chunker, KeepsItsSizes) {
  const Bytes content = random_bytes(16 << 20, 1);
  const hash::ChunkList chunks = chunks_of(content);
  const size_t mean = content.size() / chunks.size();
  EXPECT_GE(mean, 8U << 10U);
  EXPECT_LE(mean, 11U << 10U);
  for (const hash::Chunk& chunk : chunks) {
    EXPECT_LE(chunk.size, kSizes.max);
  }
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_GT(chunks[i].size, kSizes.min);
  }
}

TEST(Chunker, FindsItsCutsAgainBehindAnEdit) {
  const Bytes before = random_bytes(4 << 20, 2);
  Bytes after = before;
  const Bytes inserted = random_bytes(777, 3);
  after.insert(after.begin() + 1'000'000, inserted.begin(), inserted.end());
  const std::set<size_t> cuts_after = cuts_of(after);
  size_t lost = 0;
  for (const size_t cut : cuts_of(before)) {
    lost += cuts_after.count(cut < 1'000'000 ? cut : cut + inserted.size()) == 0 ? 1 : 0;
  }
  EXPECT_LE(lost, 8U);
}

TEST(Chunker, CutsZerosAtTheLargestSize) {
  const hash::ChunkList chunks = chunks_of(Bytes(1 << 20));
  EXPECT_EQ(chunks.size(), (1U << 20U) / kSizes.max);
}

TEST(Chunker, FixedSizes) {
  const Bytes content = random_bytes(2500, 4);
  const hash::ChunkList chunks = chunks_of(content, delta::fixed_chunks(1000));
  ASSERT_EQ(chunks.size(), 3U);
  EXPECT_EQ(chunks[0].size, 1000U);
  EXPECT_EQ(chunks[2].size, 500U);
  EXPECT_EQ(chunks[2].id, hash::block_hash(ByteSpan(content).subspan(2000)));
}

TEST(Chunker, DoesNotDependOnTheSteps) {
  const Bytes content = random_bytes(1 << 20, 5);
  Random random(6);
  hash::ChunkList chunks;
  size_t done = 0;
  size_t end = 0;
  while (done < content.size()) {
    end = std::min(content.size(), end + pick(random, 1, 200'000));
    done += append_chunks(ByteSpan(content).first(end).subspan(done), end == content.size(), kSizes,
                          chunks);
    EXPECT_LT(end - done, kSizes.max);
  }
  EXPECT_EQ(chunks, chunks_of(content));
  EXPECT_EQ(append_chunks({}, true, kSizes, chunks), 0U);
}

}  // namespace
}  // namespace cpaway::testing
