#include "engine/upload/block_compare.h"

#include <gtest/gtest.h>

#include "engine/wire/frame.h"
#include "tests/support/random_bytes.h"

namespace cpaway::upload {
namespace {

using Ranges = std::vector<ByteRange>;

wire::Compare::Answer answer(std::initializer_list<uint8_t> equal) {
  wire::Compare::Answer answer;
  answer.equal = equal;
  return answer;
}

TEST(BlockCompare, AsksForEveryPiece) {
  const Bytes bytes = testing::random_bytes(wire::kBlockSize, 1);
  const auto whole = compare_request(7, 100, bytes);
  EXPECT_EQ(whole.handle, 7U);
  EXPECT_EQ(whole.offset, 100U);
  EXPECT_EQ(whole.chunks.size(), wire::kBlockSize / kComparePiece);
  const auto odd = compare_request(7, 0, ByteSpan(bytes).first(kComparePiece + 1));
  ASSERT_EQ(odd.chunks.size(), 2U);
  EXPECT_EQ(odd.chunks[0].hash, hash::block_hash(ByteSpan(bytes).first(kComparePiece)));
  EXPECT_EQ(odd.chunks[1].size, 1U);
}

TEST(BlockCompare, AdjacentDifferencesAreOneRange) {
  constexpr size_t kPiece = kComparePiece;
  const auto request = compare_request(7, 0, Bytes(4 * kPiece));
  EXPECT_EQ(ranges_to_send(request, answer({1, 1, 1, 1}), 4 * kPiece), Ranges{});
  EXPECT_EQ(ranges_to_send(request, answer({1, 0, 0, 1}), 4 * kPiece),
            (Ranges{{kPiece, 2 * kPiece}}));
  EXPECT_EQ(ranges_to_send(request, answer({0, 1, 1, 0}), 4 * kPiece),
            (Ranges{{0, kPiece}, {3 * kPiece, kPiece}}));
  EXPECT_EQ(ranges_to_send(request, answer({0, 0, 0, 0}), 4 * kPiece), (Ranges{{0, 4 * kPiece}}));
}

TEST(BlockCompare, WhatWasNotAskedForIsSent) {
  const auto request = compare_request(7, 0, Bytes(2 * kComparePiece));
  const size_t asked = 2 * kComparePiece;
  EXPECT_EQ(ranges_to_send(request, answer({1, 1}), asked + 5), (Ranges{{asked, 5}}));
  EXPECT_EQ(ranges_to_send(request, answer({1, 0}), asked + 5),
            (Ranges{{kComparePiece, kComparePiece + 5}}));
}

TEST(BlockCompare, StrangeAnswersKnowNothing) {
  const auto request = compare_request(7, 0, Bytes(2 * kComparePiece));
  const Ranges all = {{0, 2 * kComparePiece}};
  EXPECT_EQ(ranges_to_send(request, answer({}), 2 * kComparePiece), all);
  EXPECT_EQ(ranges_to_send(request, answer({1, 1, 1}), 2 * kComparePiece), all);
  EXPECT_EQ(ranges_to_send(request, answer({2, 255}), 2 * kComparePiece), all);
}

// Questions among `blocks` blocks, each answered before the next, with nothing equal.
uint32_t fruitless_questions(CompareGate& gate, uint32_t blocks) {
  uint32_t asked = 0;
  for (uint32_t i = 0; i < blocks; ++i) {
    if (gate.should_ask()) {
      ++asked;
      gate.answered(false);
    }
  }
  return asked;
}

TEST(CompareGate, AsksEverRarerInVain) {
  CompareGate gate;
  EXPECT_EQ(fruitless_questions(gate, CompareGate::kPatience), CompareGate::kPatience);
  EXPECT_FALSE(gate.should_ask());
  EXPECT_LE(fruitless_questions(gate, 1000), 1000 / CompareGate::kMaxSkipped + 6);
  // But never not at all.
  EXPECT_GE(fruitless_questions(gate, CompareGate::kMaxSkipped + 1), 1U);
}

TEST(CompareGate, OneFindOpensItAgain) {
  CompareGate gate;
  static_cast<void>(fruitless_questions(gate, 1000));
  while (!gate.should_ask()) {
  }
  gate.answered(true);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(gate.should_ask());
    gate.answered(true);
  }
}

TEST(CompareGate, StaysClosed) {
  CompareGate gate;
  gate.close();
  gate.answered(true);
  EXPECT_FALSE(gate.should_ask());
}

}  // namespace
}  // namespace cpaway::upload
