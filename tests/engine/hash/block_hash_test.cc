#include "engine/hash/block_hash.h"

#include <gtest/gtest.h>

#include "engine/hash/digest.h"

namespace cpaway::testing {
namespace {

// XXH3-128 with seed 0, of xxHash's own test vectors: the form on the wire may never change.
TEST(BlockHash, IsXxh3OfTheCanonicalForm) {
  EXPECT_EQ(hash::to_hex(hash::block_hash({})), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash::to_hex(hash::block_hash(as_bytes("abc"))), "06b05ab6733a618578af5f94892f3950");
}

// Long enough for the vector code, which differs with the processor; and not aligned.
TEST(BlockHash, IsTheSameOnEveryProcessor) {
  Bytes bytes(100'001);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 131 + i / 251);
  }
  EXPECT_EQ(hash::to_hex(hash::block_hash(ByteSpan(bytes).subspan(1))),
            "23526a8e4cffde1d9d48ec123e6b2ee3");
}

TEST(BlockHash, SeesEachBit) {
  Bytes bytes(1000, 'x');
  const hash::BlockHash before = hash::block_hash(bytes);
  for (size_t i = 0; i < bytes.size(); i += 37) {
    bytes[i] ^= 1U;
    EXPECT_NE(hash::block_hash(bytes), before);
    bytes[i] ^= 1U;
  }
  EXPECT_EQ(hash::block_hash(bytes), before);
}

}  // namespace
}  // namespace cpaway::testing
