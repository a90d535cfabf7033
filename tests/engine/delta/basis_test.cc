#include "engine/delta/basis.h"

#include <gtest/gtest.h>

#include "tests/engine/delta/content.h"

namespace cpaway::testing {
namespace {

using delta::Basis;
using hash::Chunk;
using hash::ChunkList;

hash::BlockHash id_of(uint64_t number) {
  hash::BlockHash id{};
  number *= 0x9e3779b97f4a7c15;
  std::memcpy(id.data(), &number, sizeof number);
  number *= 0xbf58476d1ce4e5b9;
  std::memcpy(id.data() + sizeof number, &number, sizeof number);
  return id;
}

// `count` chunks of `size` bytes, with the ids from `first` on.
ChunkList list_of(uint64_t first, size_t count, uint32_t size = 1000) {
  ChunkList chunks;
  for (size_t i = 0; i < count; ++i) {
    chunks.push_back({id_of(first + i), size});
  }
  return chunks;
}

TEST(Basis, FindsByIdAndByOffset) {
  Basis basis;
  EXPECT_FALSE(basis.find(id_of(1), 1000, 0));
  EXPECT_FALSE(basis.first_from(0));
  basis.add(0, list_of(0, 5000));
  ASSERT_EQ(basis.size(), 5000U);
  for (Basis::Index i = 0; i < 5000; ++i) {
    EXPECT_EQ(basis.find(id_of(i), 1000, 0), i);
    EXPECT_EQ(basis.starting_at(i * 1000, 0), i);
    EXPECT_EQ(basis.starting_at(i * 1000, i), i);
    EXPECT_EQ(basis.offset_of(i), i * 1000);
    EXPECT_EQ(basis.size_of(i), 1000U);
    EXPECT_EQ(basis.id_of(i), id_of(i));
  }
  EXPECT_FALSE(basis.find(id_of(1), 999, 0));  // the id lies, or the size
  EXPECT_FALSE(basis.find(id_of(5000), 1000, 0));
  EXPECT_FALSE(basis.starting_at(1, 0));
  EXPECT_EQ(basis.first_from(1), 1U);
  EXPECT_FALSE(basis.first_from(5'000'000));
}

TEST(Basis, GrowsInSegmentsOfAnyOrder) {
  std::vector<uint64_t> segments(50);
  for (size_t i = 0; i < segments.size(); ++i) {
    segments[i] = i;
  }
  Random random(3);
  std::shuffle(segments.begin() + 1, segments.end(), random);
  Basis basis;
  uint64_t seen = 0;
  std::vector<bool> added(segments.size() + 1);
  for (const uint64_t segment : segments) {
    basis.add(segment * 100'000, list_of(segment * 100, 100));
    added[segment] = true;
    while (added[seen]) {
      ++seen;
    }
    EXPECT_EQ(basis.covered_to(), seen * 100'000);
  }
  for (uint64_t i = 0; i < 5000; ++i) {
    const auto index = basis.starting_at(i * 1000, 0);
    ASSERT_TRUE(index);
    EXPECT_EQ(basis.id_of(*index), id_of(i));
    EXPECT_EQ(basis.find(id_of(i), 1000, 0), index);
  }
}

TEST(Basis, LeavesGapsOpen) {
  Basis basis;
  basis.add(5000, list_of(5, 2));
  EXPECT_EQ(basis.covered_to(), 0U);
  EXPECT_EQ(basis.first_from(0), 0U);
  EXPECT_FALSE(basis.starting_at(7000, 0));
  basis.add(0, list_of(0, 4));
  EXPECT_EQ(basis.covered_to(), 4000U);
  EXPECT_EQ(basis.first_from(3500), 0U);
  basis.add(4000, list_of(4, 1));
  EXPECT_EQ(basis.covered_to(), 7000U);
}

TEST(Basis, IgnoresWhatItKnows) {
  Basis basis;
  basis.add(0, list_of(0, 4));
  basis.add(0, list_of(100, 9));
  EXPECT_EQ(basis.size(), 4U);
  EXPECT_FALSE(basis.find(id_of(100), 1000, 0));
}

TEST(Basis, PrefersTheNearOneOfEqualChunks) {
  Basis basis;
  for (uint64_t i = 0; i < 4; ++i) {
    basis.add(i * 11'000, list_of(i * 100, 10));
    basis.add(i * 11'000 + 10'000, list_of(7777, 1));
  }
  for (uint64_t i = 0; i < 4; ++i) {
    const auto index = basis.find(id_of(7777), 1000, i * 11'000 + 9000);
    ASSERT_TRUE(index);
    EXPECT_EQ(basis.offset_of(*index), i * 11'000 + 10'000);
  }
}

TEST(Basis, ManyEqualChunksCostNoMore) {
  Basis zeros;
  zeros.add(0, ChunkList(300'000, {id_of(1), 65536}));
  Basis pairs;
  for (size_t i = 0; i < 50'000; ++i) {
    pairs.add(i * 2000, {{id_of(1), 1000}, {id_of(2), 1000}});
  }
  for (size_t i = 0; i < 50'000; ++i) {
    EXPECT_TRUE(zeros.find(id_of(1), 65536, i));
    EXPECT_TRUE(pairs.find(id_of(2), 1000, i));
  }
}

TEST(Basis, HostileIdsCostNoMore) {
  ChunkList chunks = list_of(0, 10'000);
  for (Chunk& chunk : chunks) {
    std::fill_n(chunk.id.begin(), 12, uint8_t{0});  // one slot and one tag for all
  }
  Basis basis;
  basis.add(0, chunks);
  size_t found = 0;
  for (const Chunk& chunk : chunks) {
    found += basis.find(chunk.id, chunk.size, 0) ? 1 : 0;
  }
  EXPECT_GT(found, 0U);
  EXPECT_EQ(basis.starting_at(9'999'000, 0), 9'999U);
}

TEST(Basis, StopsAtItsBounds) {
  Basis basis;
  basis.add(0, {{id_of(1), 10}, {id_of(2), 0}, {id_of(3), 10}});
  EXPECT_EQ(basis.size(), 1U);
  EXPECT_EQ(basis.covered_to(), 10U);
  basis.add(100, {{id_of(4), hash::kMaxChunkSize + 1}});
  basis.add(Basis::kMaxOffset, list_of(0, 1));
  basis.add(UINT64_MAX, list_of(0, 1));
  EXPECT_EQ(basis.size(), 1U);
  EXPECT_FALSE(basis.first_from(10));
  basis.add(200, {{id_of(5), hash::kMaxChunkSize}});
  EXPECT_EQ(basis.size_of(1), hash::kMaxChunkSize);
}

TEST(Basis, HoldsNoMoreThanItsLimit) {
  Basis basis;
  constexpr uint64_t kSegment = 100'000;
  static_assert(Basis::kMaxChunks % kSegment == 0);
  for (uint64_t first = 0; first < Basis::kMaxChunks; first += kSegment) {
    basis.add(first * 1000, list_of(first, kSegment));
  }
  EXPECT_LE(basis.memory_bytes(), size_t{36} * Basis::kMaxChunks);
  basis.add(uint64_t{1000} * Basis::kMaxChunks, list_of(Basis::kMaxChunks, 5));
  EXPECT_EQ(basis.size(), Basis::kMaxChunks);
  EXPECT_EQ(basis.covered_to(), uint64_t{1000} * (Basis::kMaxChunks + 5));
  EXPECT_FALSE(basis.find(id_of(Basis::kMaxChunks), 1000, 0));
  EXPECT_EQ(basis.find(id_of(Basis::kMaxChunks - 1), 1000, 0), Basis::kMaxChunks - 1);
}

TEST(Basis, HoldsNoMoreThanItsLimitOfRuns) {
  Basis basis;
  for (uint64_t i = Basis::kMaxRuns + 100; i > 0; --i) {
    basis.add(i * 2000, list_of(i, 1));
  }
  EXPECT_EQ(basis.size(), Basis::kMaxRuns);
}

}  // namespace
}  // namespace cpaway::testing
