#include "engine/wire/codec.h"

#include <gtest/gtest.h>

#include "engine/wire/pack.h"

namespace cpaway::testing {
namespace {

using namespace wire;

template <class... Fields>
Bytes encode(const Fields&... fields) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder(fields...);
  return bytes;
}

// True where `bytes` are a T, whole.
template <class T>
bool decodes(ByteSpan bytes, T& value) {
  Decoder decoder(bytes);
  decoder(value);
  return !decoder.failed() && decoder.rest().empty();
}
template <class T>
bool decodes(ByteSpan bytes) {
  T value{};
  return decodes(bytes, value);
}

template <class T>
void round_trip(const T& value) {
  T again{};
  const Bytes bytes = encode(value);
  ASSERT_TRUE(decodes(bytes, again));
  EXPECT_EQ(again, value);
  for (size_t size = 0; size < bytes.size(); ++size) {  // every cut is noticed
    EXPECT_FALSE(decodes<T>(ByteSpan(bytes).first(size))) << size;
  }
}

TEST(Codec, RoundTripsEachType) {
  round_trip<uint8_t>(0xfe);
  round_trip<uint16_t>(0xfedc);
  round_trip<uint32_t>(0xfedcba98);
  round_trip<uint64_t>(0xfedcba9876543210);
  round_trip<int64_t>(INT64_MIN);
  round_trip<int64_t>(-1);
  round_trip(true);
  round_trip(false);
  round_trip(std::string("text"));
  round_trip(Bytes{1, 2, 3});
  round_trip(std::array<uint8_t, 4>{1, 2, 3, 4});
  round_trip(std::optional<uint32_t>(5));
  round_trip(std::optional<uint32_t>());
  round_trip(std::vector<Xattr>{{"a", {1}}, {"b", {}}});
  round_trip(Time{-5, 6});
}

TEST(Codec, IntegersAreBigEndian) {
  EXPECT_EQ(encode(uint32_t{0x01020304}), (Bytes{1, 2, 3, 4}));
  EXPECT_EQ(encode(int64_t{-2}), (Bytes{255, 255, 255, 255, 255, 255, 255, 254}));
}

TEST(Codec, RefusesABoolThatIsNone) {
  EXPECT_FALSE(decodes<bool>(Bytes{2}));
  EXPECT_FALSE(decodes<std::optional<uint8_t>>(Bytes{2, 0}));
}

TEST(Codec, RefusesAStringAboveItsBound) {
  EXPECT_TRUE(decodes<std::string>(encode(std::string(kMaxString, 'x'))));
  EXPECT_FALSE(decodes<std::string>(encode(std::string(kMaxString + 1, 'x'))));
}

TEST(Codec, RefusesCountsThatTheRestCannotHold) {
  EXPECT_FALSE(decodes<std::vector<uint16_t>>(Bytes{0xff, 0xff, 0xff, 0xff, 1}));
  EXPECT_FALSE(decodes<Bytes>(Bytes{0xff, 0xff, 0xff, 0xff, 1}));
  Bytes many = encode(uint32_t{kMaxItems + 1});
  many.resize(many.size() + 2 * (kMaxItems + 1));
  EXPECT_FALSE(decodes<std::vector<uint16_t>>(many));
}

TEST(Codec, StaysFailed) {
  const Bytes bytes{0, 9, 'x'};  // a string of nine bytes, of which one is there
  Decoder decoder(bytes);
  std::string text;
  uint8_t byte = 0;
  decoder(text, byte);
  EXPECT_TRUE(decoder.failed());
  EXPECT_EQ(byte, 0);
}

}  // namespace
}  // namespace cpaway::testing
