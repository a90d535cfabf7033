#include "engine/hash/digest.h"

#include <gtest/gtest.h>

namespace cpaway::testing {
namespace {

using hash::Sha256;

// FIPS 180-4 examples.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(hash::to_hex(hash::sha256({})),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash::to_hex(hash::sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash::to_hex(
                hash::sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  Bytes bytes(10000);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 31);
  }
  const auto whole = hash::sha256(bytes);
  for (const size_t step : {1UL, 63UL, 64UL, 65UL, 4096UL}) {
    Sha256 digest;
    for (size_t at = 0; at < bytes.size(); at += step) {
      digest.update(ByteSpan(bytes).subspan(at, std::min(step, bytes.size() - at)));
    }
    EXPECT_EQ(digest.value(), whole) << step;
  }
}

TEST(Sha256, ZerosAreZeros) {
  Sha256 digest;
  digest.update_zeros(200'000);
  EXPECT_EQ(digest.value(), hash::sha256(Bytes(200'000)));
}

TEST(Sha256, CopiesGoOnAlone) {
  Sha256 digest;
  digest.update(as_bytes("ab"));
  EXPECT_EQ(digest.value(), hash::sha256(as_bytes("ab")));  // may be asked midway
  Sha256 copy = digest;
  copy.update(as_bytes("c"));
  digest.update(as_bytes("d"));
  EXPECT_EQ(copy.value(), hash::sha256(as_bytes("abc")));
  EXPECT_EQ(digest.value(), hash::sha256(as_bytes("abd")));
  digest = copy;
  EXPECT_EQ(digest.value(), hash::sha256(as_bytes("abc")));
}

TEST(Sha256, Hexadecimal) {
  EXPECT_EQ(hash::to_hex(Bytes{0x00, 0x0f, 0xa5, 0xff}), "000fa5ff");
}

}  // namespace
}  // namespace cpaway::testing
