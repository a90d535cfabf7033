#include "engine/wire/names.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/wire/op.h"

namespace cpaway::testing {
namespace {

using namespace wire;

TEST(Names, ValidPaths) {
  for (const std::string path : {"", "a", "a/b", "..a", "a.", "a/.b", ".cpaway", "a b\n"}) {
    EXPECT_TRUE(valid_path(path)) << path;
  }
  EXPECT_TRUE(valid_path(std::string(255, 'x')));
  std::string longest;
  while (longest.size() + 2 < 4095) {
    longest += "x/";
  }
  EXPECT_TRUE(valid_path(longest + "x"));
}

TEST(Names, InvalidPaths) {
  for (const std::string path : {"/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b"}) {
    EXPECT_FALSE(valid_path(path)) << path;
  }
  EXPECT_FALSE(valid_path(std::string_view("a\0b", 3)));
  EXPECT_FALSE(valid_path(std::string(256, 'x')));
  EXPECT_FALSE(valid_path(std::string(100, 'x') + "/" + std::string(256, 'x')));
  std::string too_long;
  while (too_long.size() < 4096) {
    too_long += "x/";
  }
  EXPECT_FALSE(valid_path(too_long + "x"));
}

// Two versions of the agent must find each other's files.
TEST(Names, StagingNamesFollowFromTheTarget) {
  EXPECT_EQ(staging_name_of("f"), ".cpaway-b3b2b50bf19ad7d5.part");
  EXPECT_EQ(staging_name_of("f"), staging_name_of("f"));
  EXPECT_NE(staging_name_of("f"), staging_name_of("g"));
  EXPECT_TRUE(is_staging_name(staging_name_of(std::string(255, 'x'))));
}

TEST(Names, StagingNamesAreNewAndKnown) {
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = new_staging_name();
    EXPECT_TRUE(is_staging_name(name)) << name;
    EXPECT_TRUE(names.insert(name).second);
  }
  EXPECT_TRUE(is_staging_name(".cpaway-0123456789abcdef.part"));
  for (const std::string name :
       {"", ".cpaway-.part", ".cpaway-0123456789ABCDEF.part", ".cpaway-0123456789abcde.part",
        ".cpaway-0123456789abcdef.par", "xcpaway-0123456789abcdef.part",
        ".cpaway-0123456789abcdef.part2"}) {
    EXPECT_FALSE(is_staging_name(name)) << name;
  }
}

TEST(Names, OperationsHaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code < 256; ++code) {
    const std::string_view name = op_name(static_cast<Op>(code));
    EXPECT_TRUE(name.empty() || names.insert(name).second) << name;
  }
  EXPECT_EQ(names.size(), 56U);
}

}  // namespace
}  // namespace cpaway::testing
