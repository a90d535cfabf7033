#include "engine/delta/matcher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/delta/content.h"

namespace cpaway::testing {
namespace {

using delta::Basis;
using delta::BasisKind;
using delta::Matcher;
using delta::Piece;
using delta::Source;

// The pieces of `content` behind the matcher's position.
std::vector<Piece> match_at_once(Matcher& matcher, ByteSpan content) {
  std::vector<Piece> pieces;
  while (const auto piece = matcher.next(content.subspan(matcher.position()), true)) {
    pieces.push_back(*piece);
  }
  return pieces;
}

// The same, brought in steps of random size.
std::vector<Piece> match_in_steps(Matcher& matcher, ByteSpan content, Random& random) {
  std::vector<Piece> pieces;
  size_t end = matcher.position();
  while (matcher.position() < content.size()) {
    end = std::min(content.size(), end + pick(random, 1, pick(random, 1, 400'000)));
    // The end may become known with the last bytes or after them.
    const bool at_end = end == content.size() && pick(random, 0, 1) == 0;
    const size_t start = matcher.position();
    while (const auto piece =
               matcher.next(content.first(end).subspan(matcher.position()), at_end)) {
      pieces.push_back(*piece);
    }
    EXPECT_LT(end - matcher.position(), Matcher::kEnoughBytes) << "from " << start;
  }
  return pieces;
}

// The new version, as the receiver makes it: `content` gives only the literal bytes, the rest is
// copied from `bases`. Checks ids and bounds.
Bytes rebuild(const std::vector<Piece>& pieces, ByteSpan content, const std::vector<Bytes>& bases) {
  Bytes out;
  for (const Piece& piece : pieces) {
    ByteSpan from = content;
    size_t offset = out.size();
    if (piece.source) {
      from = bases.at(piece.source->basis);
      offset = piece.source->offset;
    }
    if (offset > from.size() || piece.size > from.size() - offset) {
      ADD_FAILURE() << "piece beyond its source";
      return out;
    }
    const ByteSpan bytes = from.subspan(offset, piece.size);
    EXPECT_EQ(hash::block_hash(bytes), piece.id);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

size_t literal_bytes(const std::vector<Piece>& pieces) {
  size_t total = 0;
  for (const Piece& piece : pieces) {
    total += piece.source ? 0 : piece.size;
  }
  return total;
}

void fill(Basis& basis, ByteSpan content, const delta::ChunkSizes& sizes = {}) {
  basis.add(0, chunks_of(content, sizes));
}

// A matcher with one basis, the file `before`.
struct OneFile {
  explicit OneFile(ByteSpan before) {
    fill(basis, before);
    matcher.add_basis(&basis, BasisKind::file);
  }
  Basis basis;
  Matcher matcher;
};

TEST(Matcher, WithoutABasisAllIsLiteral) {
  const Bytes content = random_bytes(300'000, 1);
  Matcher matcher;
  const auto pieces = match_at_once(matcher, content);
  EXPECT_EQ(rebuild(pieces, content, {}), content);
  EXPECT_EQ(literal_bytes(pieces), content.size());
  EXPECT_EQ(matcher.hashed_bytes(), content.size());
  const hash::ChunkList chunks = chunks_of(content);
  ASSERT_EQ(pieces.size(), chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_EQ(pieces[i].size, chunks[i].size);
    EXPECT_EQ(pieces[i].id, chunks[i].id);
  }
}

TEST(Matcher, AnIdenticalFileIsHashedOnce) {
  const Bytes content = random_bytes(1'000'000, 1);
  OneFile one(content);
  const auto pieces = match_at_once(one.matcher, content);
  EXPECT_EQ(rebuild(pieces, content, {content}), content);
  EXPECT_EQ(literal_bytes(pieces), 0U);
  EXPECT_EQ(one.matcher.hashed_bytes(), content.size());
  EXPECT_FALSE(one.matcher.next({}, true));
}

TEST(Matcher, ManyEditsOfALargeFile) {
  constexpr size_t kSize = 64U << 20U;
  const Bytes before = random_bytes(kSize, 1);
  Bytes after = before;
  Random random(2);
  for (size_t i = 0; i < 256; ++i) {
    overwrite(after, pick(random, 0, kSize - 1024), random_bytes(1024, random()));
  }
  const Bytes inserted = random_bytes(777, 3);
  after.insert(after.begin() + kSize / 3, inserted.begin(), inserted.end());
  after.erase(after.begin() + kSize / 2, after.begin() + kSize / 2 + 5555);
  OneFile one(before);
  const auto pieces = match_at_once(one.matcher, after);
  EXPECT_EQ(rebuild(pieces, after, {before}), after);
  EXPECT_LE(literal_bytes(pieces), 258U * 16 * 1024);
  EXPECT_LE(one.matcher.hashed_bytes(), after.size() + after.size() / 8);
}

// Behind an overwrite in place the next expected chunk is tried, whatever the cuts are.
TEST(Matcher, IsBackInStepBehindAnOverwrite) {
  const Bytes before = random_bytes(1'000'000, 1);
  const hash::ChunkList chunks = chunks_of(before);
  Bytes after = before;
  const size_t third = chunks[0].size + chunks[1].size;
  overwrite(after, third, random_bytes(100, 2));
  OneFile one(before);
  const auto pieces = match_at_once(one.matcher, after);
  EXPECT_EQ(literal_bytes(pieces), chunks[2].size);
  EXPECT_EQ(one.matcher.hashed_bytes(), after.size());  // the cut was as long as the expectation
}

TEST(Matcher, RandomEditsOfRandomContent) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const size_t size = pick(random, 1, 1'000'000);
    const bool repetitive = seed % 3 == 0;
    const Bytes before = repetitive ? repetitive_bytes(size, seed) : random_bytes(size, seed);
    const Bytes other = random_bytes(200'000, seed + 1000);
    Bytes after = before;
    for (size_t edits = pick(random, 0, 6); edits > 0; --edits) {
      edit(after, 50'000, random);
    }
    after.insert(after.end(), other.begin() + 20'000, other.begin() + 90'000);
    Basis first;
    Basis second;
    fill(first, before);
    fill(second, other);
    const auto set_up = [&](Matcher& matcher) {
      matcher.add_basis(&first, BasisKind::file);
      matcher.add_basis(&second, BasisKind::file);
    };
    Matcher at_once;
    set_up(at_once);
    const auto pieces = match_at_once(at_once, after);
    ASSERT_EQ(rebuild(pieces, after, {before, other}), after);
    EXPECT_LE(literal_bytes(pieces), 7U * (50'000 + 3 * 65536));
    EXPECT_LE(at_once.hashed_bytes(), 2 * after.size());
    Matcher in_steps;
    set_up(in_steps);
    EXPECT_EQ(match_in_steps(in_steps, after, random), pieces);
    EXPECT_EQ(in_steps.hashed_bytes(), at_once.hashed_bytes());
  }
}

TEST(Matcher, ZerosMatchZeros) {
  const Bytes before(3'000'000);
  const Bytes after(5'000'001);
  OneFile one(before);
  const auto pieces = match_at_once(one.matcher, after);
  EXPECT_EQ(rebuild(pieces, after, {before}), after);
  EXPECT_LE(literal_bytes(pieces), 65536U);
  EXPECT_LE(one.matcher.hashed_bytes(), 2 * after.size());
}

TEST(Matcher, BasesMayLie) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Bytes content = random_bytes(300'000, seed);
    hash::ChunkList chunks = chunks_of(content);
    for (hash::Chunk& chunk : chunks) {
      switch (pick(random, 0, 3)) {
        case 0:
          chunk.size = static_cast<uint32_t>(pick(random, 1, 20'000));
          break;
        case 1:
          chunk.size = static_cast<uint32_t>(pick(random, 1, hash::kMaxChunkSize));
          break;
        case 2:
          chunk.id[pick(random, 0, 15)] ^= 1U;
          break;
        default:
          break;
      }
    }
    Basis basis;
    basis.add(pick(random, 0, 1) * 4096, chunks);
    Matcher matcher;
    matcher.add_basis(&basis, seed % 2 == 0 ? BasisKind::file : BasisKind::staging);
    size_t total = 0;
    for (const Piece& piece : match_in_steps(matcher, content, random)) {
      EXPECT_EQ(piece.id, hash::block_hash(ByteSpan(content).subspan(total, piece.size)));
      total += piece.size;
    }
    EXPECT_EQ(total, content.size());
  }
}

TEST(Matcher, TheBasisMayGrow) {
  const Bytes content = random_bytes(2'000'000, 1);
  const hash::ChunkList chunks = chunks_of(content);
  Basis basis;
  Matcher matcher;
  matcher.add_basis(&basis, BasisKind::file);
  std::vector<Piece> pieces;
  size_t known = 0;
  uint64_t offset = 0;
  while (const auto piece = matcher.next(ByteSpan(content).subspan(matcher.position()), true)) {
    pieces.push_back(*piece);
    // Not known in time at first, then always a few chunks ahead.
    for (; known < chunks.size() && known + 3 < 2 * pieces.size(); ++known) {
      basis.add(offset, {chunks[known]});
      offset += chunks[known].size;
    }
  }
  EXPECT_EQ(rebuild(pieces, content, {content}), content);
  EXPECT_LE(literal_bytes(pieces), 100'000U);
  EXPECT_EQ(matcher.hashed_bytes(), content.size());
}

// ---- staging files

TEST(Matcher, StagingMatchesOnlyInItsPlace) {
  const Bytes content = random_bytes(300'000, 1);
  Bytes shifted(5000, 'x');
  shifted.insert(shifted.end(), content.begin(), content.end());
  Basis basis;
  fill(basis, content);
  Matcher matcher;
  matcher.add_basis(&basis, BasisKind::staging);
  EXPECT_EQ(literal_bytes(match_at_once(matcher, shifted)), shifted.size());
  matcher.restart(0);
  EXPECT_EQ(literal_bytes(match_at_once(matcher, content)), 0U);
}

TEST(Matcher, LargeStagingBlocks) {
  constexpr size_t kBlock = 1U << 20U;
  const Bytes staged = random_bytes(6 * kBlock + 12'345, 1);
  Bytes content = staged;
  overwrite(content, 2 * kBlock + 77, random_bytes(10, 2));  // one block differs
  const Bytes tail = random_bytes(300'000, 3);
  content.insert(content.end(), tail.begin(), tail.end());
  Basis staging;
  staging.add(0, chunks_of(staged, delta::fixed_chunks(kBlock)));
  Matcher matcher;
  matcher.add_basis(&staging, BasisKind::staging);
  Random random(4);
  const auto pieces = match_in_steps(matcher, content, random);
  EXPECT_EQ(rebuild(pieces, content, {staged}), content);
  // The block that differs and what comes behind the staged bytes.
  EXPECT_EQ(literal_bytes(pieces), kBlock + tail.size());
}

TEST(Matcher, StagingComesFirst) {
  const Bytes content = random_bytes(300'000, 1);
  Basis file;
  Basis staging;
  fill(file, content);
  fill(staging, ByteSpan(content).first(100'000));
  Matcher matcher;
  EXPECT_EQ(matcher.add_basis(&file, BasisKind::file), 0U);
  EXPECT_EQ(matcher.add_basis(&staging, BasisKind::staging), 1U);
  const auto pieces = match_at_once(matcher, content);
  EXPECT_EQ(literal_bytes(pieces), 0U);
  EXPECT_EQ(pieces.front().source, (Source{1, 0}));
  EXPECT_EQ(pieces.back().source->basis, 0U);
  EXPECT_EQ(rebuild(pieces, content, {content, content}), content);
}

// ---- the stream

TEST(Matcher, RestartsAnywhere) {
  const Bytes content = random_bytes(1'000'000, 1);
  const hash::ChunkList chunks = chunks_of(content);
  OneFile one(content);
  const uint64_t offset = chunks[0].size + chunks[1].size;
  one.matcher.restart(offset);
  const auto piece = one.matcher.next(ByteSpan(content).subspan(offset), true);
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->source, (Source{0, offset}));
  EXPECT_EQ(one.matcher.position(), offset + chunks[2].size);
  EXPECT_EQ(one.matcher.hashed_bytes(), chunks[2].size);
  one.matcher.restart(12'345);  // amid a chunk: back in step after one or two
  EXPECT_LE(literal_bytes(match_at_once(one.matcher, content)), 100'000U);
}

TEST(Matcher, WaitsNoLongerThanItMust) {
  const Bytes content = random_bytes(1'000'000, 1);
  const hash::ChunkList chunks = chunks_of(content);
  OneFile one(content);
  const ByteSpan all(content);
  EXPECT_FALSE(one.matcher.next({}, false));
  EXPECT_FALSE(one.matcher.next(all.first(chunks[0].size - 1), false));
  EXPECT_TRUE(one.matcher.next(all.first(chunks[0].size), false));  // as expected
  const Bytes other = random_bytes(Matcher::kEnoughBytes, 2);
  EXPECT_FALSE(one.matcher.next(ByteSpan(other).first(65535), false));
  EXPECT_TRUE(one.matcher.next(other, false));
}

// A file to which little is added again and again keeps chunks of the usual size.
TEST(Matcher, AppendingGathersNoTinyChunks) {
  Bytes content;
  hash::ChunkList chunks;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Bytes line = random_bytes(200, seed);
    content.insert(content.end(), line.begin(), line.end());
    Basis basis;
    basis.add(0, chunks);
    Matcher matcher;
    matcher.add_basis(&basis, BasisKind::file);
    chunks.clear();
    const auto pieces = match_at_once(matcher, content);
    EXPECT_LE(literal_bytes(pieces), 64U << 10U);
    for (const Piece& piece : pieces) {
      chunks.push_back({piece.id, piece.size});
    }
  }
  EXPECT_LE(chunks.size(), content.size() / 4096 + 1);
}

}  // namespace
}  // namespace cpaway::testing
