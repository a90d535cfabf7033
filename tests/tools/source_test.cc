#include "tools/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

struct Case {
  const char* text;
  Source source;
};

TEST(ParseSource, TakesUserHostAndDirectoryApart) {
  const std::vector<Case> cases = {
      {"host:", {"", "host", ""}},
      {"host:dir", {"", "host", "dir"}},
      {"user@host:/a b", {"user", "host", "/a b"}},
      {"a@dom.ain@host:d", {"a@dom.ain", "host", "d"}},
      {"host:x@y:z", {"", "host", "x@y:z"}},
      {"[::1]:dir", {"", "::1", "dir"}},
      {"user@[fe80::1%eth0]:", {"user", "fe80::1%eth0", ""}},
      {"[host]:[x]", {"", "host", "[x]"}},
      {"host:[x]:y", {"", "host", "[x]:y"}},
  };
  for (const Case& c : cases) {
    const auto source = parse_source(c.text);
    ASSERT_TRUE(source) << c.text;
    EXPECT_EQ(source->user, c.source.user) << c.text;
    EXPECT_EQ(source->host, c.source.host) << c.text;
    EXPECT_EQ(source->directory, c.source.directory) << c.text;
  }
}

TEST(ParseSource, SaysWhatIsWrong) {
  for (const char* text : {"", "host", "/dir", ":dir", "user@:dir", "@host:dir", "[::1]",
                           "[::1]dir", "[::1:dir", "::1:dir", "ssh://host/dir",
                           "-oProxyCommand=x:dir", "-l@host:dir", "ho st:dir", "host\n:dir"}) {
    const auto source = parse_source(text);
    ASSERT_FALSE(source) << text;
    EXPECT_EQ(source.error().code, Errc::invalid) << text;
    EXPECT_THAT(source.error().context, testing::HasSubstr("[USER@]HOST:[DIR]")) << text;
  }
}

}  // namespace
}  // namespace cpaway::tools
