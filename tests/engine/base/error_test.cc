#include "engine/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace cpaway::testing {
namespace {

TEST(Error, ReadsAsOneLine) {
  EXPECT_EQ(os_error(ENOENT, "a/b").to_string(), "a/b: No such file or directory");
  EXPECT_EQ(make_error(Errc::verify, "").to_string(), "verification failed");
  EXPECT_EQ(with_context(os_error(EIO, "read"), "upload f").to_string(),
            "upload f: read: Input/output error");
  EXPECT_EQ(with_context(make_error(Errc::timeout, ""), "f").to_string(), "f: timed out");
}

TEST(Error, EachCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 1; code <= static_cast<int>(Errc::unsupported); ++code) {
    EXPECT_TRUE(names.insert(errc_name(static_cast<Errc>(code))).second) << code;
  }
  EXPECT_FALSE(names.contains("unknown error"));
  EXPECT_EQ(errc_name(static_cast<Errc>(999)), "unknown error");
}

TEST(Error, OnlyALostLinkIsWorthAnotherConnection) {
  for (int code = 1; code <= static_cast<int>(Errc::unsupported); ++code) {
    const auto errc = static_cast<Errc>(code);
    EXPECT_EQ(is_retryable(make_error(errc, "")),
              errc == Errc::connection_lost || errc == Errc::timeout)
        << errc_name(errc);
  }
}

}  // namespace
}  // namespace cpaway::testing
