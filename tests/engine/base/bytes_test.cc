#include "engine/base/bytes.h"

#include <gtest/gtest.h>

#include "engine/base/clock.h"
#include "engine/base/strings.h"

namespace cpaway::testing {
namespace {

TEST(Bytes, BigEndian) {
  uint8_t buffer[8];
  store_be<uint32_t>(buffer, 0x01020304);
  EXPECT_EQ(buffer[0], 1);
  EXPECT_EQ(buffer[3], 4);
  EXPECT_EQ(load_be<uint32_t>(buffer), 0x01020304U);
  store_be<uint64_t>(buffer, 0xfedcba9876543210);
  EXPECT_EQ(load_be<uint64_t>(buffer), 0xfedcba9876543210U);
  EXPECT_EQ(load_be<uint16_t>(buffer), 0xfedcU);
}

TEST(Bytes, TextAndBack) {
  EXPECT_EQ(as_text(as_bytes("text")), "text");
}

TEST(Strings, ConcatTakesTextAndIntegers) {
  const std::string text = "b";
  EXPECT_EQ(concat("a", text, 'c', 1, -2, 3UL, uint8_t{4}), "abc1-234");
  EXPECT_EQ(concat(INT64_MIN, " ", UINT64_MAX), "-9223372036854775808 18446744073709551615");
  EXPECT_EQ(concat(), "");
}

TEST(Clock, GoesForward) {
  const int64_t before = system_clock().now_ms();
  EXPECT_GE(system_clock().now_ms(), before);
}

}  // namespace
}  // namespace cpaway::testing
