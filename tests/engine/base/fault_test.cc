#include "engine/base/fault.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace cpaway::testing {
namespace {

class FaultTest : public ::testing::Test {
 protected:
  void TearDown() override {
    fault::points().damage_block = 0;
    fault::points().delay_reply_ms = 0;
  }
};

TEST_F(FaultTest, CountsDown) {
  ASSERT_TRUE(fault::parse("damage_block=2"));
  auto& point = fault::points().damage_block;
  EXPECT_TRUE(fault::take(point));
  EXPECT_TRUE(fault::take(point));
  EXPECT_FALSE(fault::take(point));
}

TEST_F(FaultTest, MinusOneIsForEver) {
  ASSERT_TRUE(fault::parse("damage_block=-1,delay_reply_ms=100"));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(fault::take(fault::points().damage_block));
  }
  EXPECT_EQ(fault::points().delay_reply_ms, 100);
}

TEST_F(FaultTest, ANameAloneIsOnce) {
  ASSERT_TRUE(fault::parse("damage_block"));
  EXPECT_TRUE(fault::take(fault::points().damage_block));
  EXPECT_FALSE(fault::take(fault::points().damage_block));
}

TEST_F(FaultTest, RefusesWhatItDoesNotKnow) {
  for (const char* spec : {"x", "damage_block=", "damage_block=a", "damage_block=1x",
                           "damage_block=1,,delay_reply_ms=1", "=1"}) {
    EXPECT_FALSE(fault::parse(spec)) << spec;
  }
  EXPECT_TRUE(fault::parse(""));
}

TEST_F(FaultTest, ReadsTheEnvironment) {
  ::setenv("CPAWAY_FAULT", "delay_reply_ms=7", 1);
  EXPECT_TRUE(fault::load_from_environment());
  EXPECT_EQ(fault::points().delay_reply_ms, 7);
  ::unsetenv("CPAWAY_FAULT");
  EXPECT_TRUE(fault::load_from_environment());
}

}  // namespace
}  // namespace cpaway::testing
