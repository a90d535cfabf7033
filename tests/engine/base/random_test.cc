#include "engine/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace cpaway::testing {
namespace {

TEST(Random, HexDigitsOfTheWantedNumber) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string text = random_hex(32);
    EXPECT_EQ(text.size(), 32U);
    EXPECT_EQ(text.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_TRUE(seen.insert(text).second);
  }
  EXPECT_EQ(random_hex(0), "");
}

}  // namespace
}  // namespace cpaway::testing
