#include "fs/remote_clock.h"

#include <gtest/gtest.h>

namespace cpaway::fs {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kMs = 1'000'000;

int64_t local_ns = 0;

class RemoteClockTest : public ::testing::Test {
 protected:
  RemoteClockTest() { local_ns = 500 * kSecond; }
  // The clock there is at 1,000,000 s when the one here is at 0.
  void observe_late_by(int64_t ns) {
    const int64_t time = 1'000'000 * kSecond + local_ns - ns;
    clock.observe({time / kSecond, static_cast<uint32_t>(time % kSecond)});
  }
  // What now() is behind the true time.
  int64_t behind_ns() {
    const wire::Time now = clock.now();
    return 1'000'000 * kSecond + local_ns - now.seconds * kSecond - now.nanoseconds;
  }

  RemoteClock clock{[] { return local_ns; }};
};

TEST_F(RemoteClockTest, IsTheOneHereUntilItIsSeen) {
  EXPECT_NEAR(static_cast<double>(clock.now().seconds), static_cast<double>(::time(nullptr)), 2);
}

TEST_F(RemoteClockTest, TheFastestAnswerCounts) {
  observe_late_by(80 * kMs);
  EXPECT_EQ(behind_ns(), 80 * kMs);
  observe_late_by(20 * kMs);
  observe_late_by(900 * kMs);
  EXPECT_EQ(behind_ns(), 20 * kMs);
  local_ns += kSecond;
  EXPECT_EQ(behind_ns(), 20 * kMs);
}

// Else one lucky answer would count for ever, and now() be ahead where the clocks drift apart.
TEST_F(RemoteClockTest, WhatIsLongAgoCountsLess) {
  observe_late_by(20 * kMs);
  local_ns += 1000 * kSecond;
  observe_late_by(300 * kMs);
  EXPECT_EQ(behind_ns(), 120 * kMs);
  observe_late_by(30 * kMs);
  EXPECT_EQ(behind_ns(), 30 * kMs);
}

TEST_F(RemoteClockTest, FollowsAClockThatIsSetBack) {
  observe_late_by(20 * kMs);
  for (int i = 0; i < 20; ++i) {
    EXPECT_LT(behind_ns(), i < 10 ? kSecond : 4000 * kSecond);
    observe_late_by(3600 * kSecond + (i + 1) * kMs);
  }
  EXPECT_NEAR(static_cast<double>(behind_ns()), 3600e9, 5e6);
  // And one that is set forward, at once.
  observe_late_by(-10 * kSecond);
  EXPECT_EQ(behind_ns(), -10 * kSecond);
}

TEST_F(RemoteClockTest, TimesThatNoClockShowsDoNotCount) {
  observe_late_by(20 * kMs);
  for (const wire::Time& time : {wire::Time{INT64_MAX, 0}, wire::Time{-1, 0}, wire::Time{},
                                 wire::Time{2'000'000, 2'000'000'000}}) {
    clock.observe(time);
  }
  EXPECT_EQ(behind_ns(), 20 * kMs);
}

}  // namespace
}  // namespace cpaway::fs
