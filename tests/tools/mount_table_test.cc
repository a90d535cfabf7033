#include "tools/mount_table.h"

#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

constexpr std::string_view kText =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "40 22 0:50 / /mnt/a\\040b rw,nosuid - fuse.cpaway u@h:d\\134x rw,user_id=0\n"
    "nonsense\n"
    "41 22 0:51 / /mnt/c rw shared:1 master:2 - tmpfs none rw\n"
    "42 41 0:52 / /mnt/c rw - fuse.sshfs h:/ rw\n";

TEST(MountTable, ReadsLinesAndEscapes) {
  const auto table = parse_mountinfo(kText);
  ASSERT_EQ(table.size(), 4U);
  EXPECT_EQ(table[0], (MountEntry{"/", "ext4", "/dev/sda1"}));
  EXPECT_EQ(table[1], (MountEntry{"/mnt/a b", "fuse.cpaway", "u@h:d\\x"}));
}

TEST(MountTable, TheUppermostMountIsFound) {
  const auto table = parse_mountinfo(kText);
  EXPECT_EQ(find_mount(table, "/mnt/c")->type, "fuse.sshfs");
  EXPECT_FALSE(find_mount(table, "/mnt").has_value());
}

TEST(MountTable, TheRealOneHoldsTheRoot) {
  const auto table = read_mount_table();
  ASSERT_TRUE(table);
  EXPECT_TRUE(find_mount(*table, "/").has_value());
}

}  // namespace
}  // namespace cpaway::tools
