#include "engine/delta/segments.h"

#include <gtest/gtest.h>

#include <utility>

namespace cpaway::testing {
namespace {

using delta::kLiteralSegment;
using delta::kMaxDeltaBlock;
using delta::kMaxSegments;
using delta::Piece;
using delta::Segment;
using delta::SegmentBuilder;
using delta::Source;

Piece literal(uint32_t size) {
  return {size, {}, std::nullopt};
}
Piece copy(uint32_t size, uint8_t basis, uint64_t offset) {
  return {size, {}, Source{basis, offset}};
}

TEST(SegmentBuilder, MergesWhatIsAdjacent) {
  SegmentBuilder builder;
  EXPECT_TRUE(builder.empty());
  for (const Piece& piece : {copy(10, 0, 100), copy(20, 0, 110), copy(5, 0, 131), copy(5, 1, 136),
                             literal(7), literal(8), copy(1, 0, 0)}) {
    EXPECT_TRUE(builder.add(piece));
  }
  EXPECT_EQ(builder.size(), 56U);
  EXPECT_EQ(builder.literal_size(), 15U);
  EXPECT_EQ(builder.take(),
            (std::vector<Segment>{
                {0, 30, 100}, {0, 5, 131}, {1, 5, 136}, {kLiteralSegment, 15, 0}, {0, 1, 0}}));
  EXPECT_TRUE(builder.empty());
  EXPECT_EQ(builder.literal_size(), 0U);
  EXPECT_TRUE(builder.take().empty());
}

TEST(SegmentBuilder, StopsAtTheSize) {
  SegmentBuilder builder;
  EXPECT_TRUE(builder.add(literal(kMaxDeltaBlock)));
  EXPECT_FALSE(builder.add(literal(1)));
  EXPECT_EQ(builder.take(), (std::vector<Segment>{{kLiteralSegment, kMaxDeltaBlock, 0}}));
  EXPECT_TRUE(builder.add(copy(kMaxDeltaBlock - 1, 0, 0)));
  EXPECT_FALSE(builder.add(copy(2, 0, kMaxDeltaBlock - 1)));
  EXPECT_TRUE(builder.add(copy(1, 0, kMaxDeltaBlock - 1)));
  EXPECT_EQ(builder.take(), (std::vector<Segment>{{0, kMaxDeltaBlock, 0}}));
}

TEST(SegmentBuilder, StopsAtTheNumberOfSegments) {
  SegmentBuilder builder;
  for (uint32_t i = 0; i < kMaxSegments; ++i) {
    EXPECT_TRUE(builder.add(copy(1, 0, i * 10)));
  }
  EXPECT_FALSE(builder.add(literal(1)));
  EXPECT_TRUE(builder.add(copy(1, 0, kMaxSegments * 10 - 9)));  // makes the last one longer
  EXPECT_EQ(builder.take().size(), kMaxSegments);
}

}  // namespace
}  // namespace cpaway::testing
