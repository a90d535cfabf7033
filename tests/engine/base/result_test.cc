#include "engine/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace cpaway::testing {
namespace {

Result<std::unique_ptr<int>> make(bool good) {
  if (!good) {
    return fail_os(ENOENT, "make");
  }
  return std::make_unique<int>(5);
}

Result<int> use(bool good) {
  CPAWAY_ASSIGN(const auto value, make(good));
  return *value + 1;
}

Status try_only(bool good) {
  CPAWAY_TRY(make(good));
  return {};
}

TEST(Result, AssignBindsOrReturns) {
  EXPECT_EQ(*use(true), 6);
  ASSERT_FALSE(use(false));
  EXPECT_EQ(use(false).error().os_errno, ENOENT);
  EXPECT_EQ(use(false).error().context, "make");
}

TEST(Result, TryReturnsTheError) {
  EXPECT_TRUE(try_only(true));
  EXPECT_EQ(try_only(false).error().code, Errc::os);
}

}  // namespace
}  // namespace cpaway::testing
