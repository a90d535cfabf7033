#include "engine/delta/compress.h"

#include <gtest/gtest.h>

#include "tests/engine/delta/content.h"

namespace cpaway::testing {
namespace {

using delta::Compressor;
using delta::decompress;

constexpr size_t kBlock = 100'000;

Bytes text_bytes(size_t size) {
  Bytes text;
  for (size_t i = 0; text.size() < size; ++i) {
    const std::string line = "line " + std::to_string(i * i) + " of a text\n";
    text.insert(text.end(), line.begin(), line.end());
  }
  text.resize(size);
  return text;
}

Errc error_of(ByteSpan in, size_t exact_size) {
  const auto out = decompress(in, exact_size);
  return out ? Errc{} : out.error().code;
}

TEST(Compress, RoundTrips) {
  Compressor compressor;
  for (const size_t size : {size_t{128}, size_t{1000}, kBlock, size_t{1} << 20U}) {
    for (const Bytes& content : {text_bytes(size), Bytes(size)}) {
      const auto packed = compressor.compress(content);
      ASSERT_TRUE(packed);
      EXPECT_LT(packed->size(), size - size / 8);
      const auto again = decompress(*packed, size);
      ASSERT_TRUE(again);
      EXPECT_EQ(*again, content);
    }
  }
}

TEST(Compress, LeavesWhatDoesNotPay) {
  Compressor compressor;
  EXPECT_FALSE(compressor.compress({}));
  EXPECT_FALSE(compressor.compress(Bytes(127)));
  EXPECT_FALSE(compressor.compress(random_bytes(kBlock, 1)));
  Bytes mostly_random = random_bytes(kBlock, 1);
  std::fill_n(mostly_random.begin(), kBlock / 10, uint8_t{0});  // shrinks by a tenth
  EXPECT_FALSE(Compressor().compress(mostly_random));
  std::fill_n(mostly_random.begin(), kBlock / 6, uint8_t{0});
  EXPECT_TRUE(Compressor().compress(mostly_random));
}

TEST(Compress, ComesBackToAStreamThatTurnsCompressible) {
  Compressor compressor;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    EXPECT_FALSE(compressor.compress(random_bytes(kBlock, seed)));
  }
  const Bytes text = text_bytes(kBlock);
  unsigned passed_over = 0;
  while (!compressor.compress(text)) {
    ASSERT_LE(++passed_over, Compressor::kMaxSkipped);
  }
  EXPECT_TRUE(compressor.compress(text));  // and stays
}

TEST(Compress, RefusesAnotherSize) {
  const Bytes text = text_bytes(kBlock);
  const Bytes packed = *Compressor().compress(text);
  EXPECT_EQ(error_of(packed, kBlock), Errc{});
  EXPECT_EQ(error_of(packed, kBlock - 1), Errc::protocol);
  EXPECT_EQ(error_of(packed, kBlock + 1), Errc::protocol);
  EXPECT_EQ(error_of(packed, 0), Errc::protocol);
}

TEST(Compress, RefusesBytesBehindTheFrame) {
  const Bytes packed = *Compressor().compress(text_bytes(kBlock));
  Bytes longer = packed;
  longer.push_back(0);
  EXPECT_EQ(error_of(longer, kBlock), Errc::protocol);
  Bytes twice = packed;
  twice.insert(twice.end(), packed.begin(), packed.end());
  EXPECT_EQ(error_of(twice, kBlock), Errc::protocol);
  EXPECT_EQ(error_of(twice, 2 * kBlock), Errc::protocol);
}

TEST(Compress, RefusesWhatIsNoFrame) {
  EXPECT_EQ(error_of({}, 1), Errc::protocol);
  EXPECT_EQ(error_of({}, 0), Errc::protocol);
  const Bytes skippable{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
  EXPECT_EQ(error_of(skippable, 0), Errc::protocol);
  EXPECT_EQ(error_of(skippable, 8), Errc::protocol);
}

TEST(Compress, SurvivesDamage) {
  const Bytes text = text_bytes(3000);
  const Bytes packed = *Compressor().compress(text);
  for (size_t size = 0; size < packed.size(); ++size) {
    EXPECT_EQ(error_of(ByteSpan(packed).first(size), text.size()), Errc::protocol) << size;
  }
  for (size_t bit = 0; bit < packed.size() * 8; ++bit) {
    Bytes damaged = packed;
    damaged[bit / 8] ^= static_cast<uint8_t>(1U << bit % 8);
    if (const auto out = decompress(damaged, text.size())) {
      EXPECT_EQ(out->size(), text.size());  // a hash elsewhere finds the wrong bytes
    }
  }
}

}  // namespace
}  // namespace cpaway::testing
