#include "fs/inode_table.h"

#include <gtest/gtest.h>

namespace cpaway::fs {
namespace {

wire::Attr attr_of(uint64_t ino, uint32_t mode) {
  wire::Attr attr;
  attr.dev = 1;
  attr.ino = ino;
  attr.mode = mode;
  attr.nlink = 1;
  attr.btime.seconds = 1000;
  return attr;
}

class InodeTableTest : public ::testing::Test {
 protected:
  InodeTable table{attr_of(2, S_IFDIR | 0755)};
};

TEST_F(InodeTableTest, HardLinksAreOneInode) {
  const InodePtr one = table.intern(table.root(), "one", attr_of(7, S_IFREG | 0644));
  EXPECT_EQ(table.intern(table.root(), "two", attr_of(7, S_IFREG | 0644)), one);
  EXPECT_EQ(one->shown_ino, 7U);
}

TEST_F(InodeTableTest, ANameFollowsARename) {
  const InodePtr dir = table.intern(table.root(), "dir", attr_of(7, S_IFDIR | 0755));
  const InodePtr file = table.intern(dir, "file", attr_of(8, S_IFREG | 0644));
  table.rename(table.root(), "dir", table.root(), "moved", false);
  EXPECT_EQ(table.path(*file), "moved/file");
}

// A number that is given to another file at once has the same birth time there too.
TEST_F(InodeTableTest, AReusedNumberOfAnotherTypeIsAnotherInode) {
  const InodePtr fifo = table.intern(table.root(), "fifo", attr_of(7, S_IFIFO | 0600));
  EXPECT_NE(table.intern(table.root(), "dir", attr_of(7, S_IFDIR | 0755)), fifo);
}

TEST_F(InodeTableTest, AReusedNumberOfWhatHasGoneIsAnotherInode) {
  const InodePtr dir = table.intern(table.root(), "dir", attr_of(7, S_IFDIR | 0755));
  table.set_key(dir, std::nullopt);
  table.remove_name(*table.root(), "dir");
  const InodePtr next = table.intern(table.root(), "dir", attr_of(7, S_IFDIR | 0755));
  EXPECT_NE(next, dir);
  table.forget(dir->id, 1);
  EXPECT_EQ(table.intern(table.root(), "other", attr_of(7, S_IFDIR | 0755)), next);
}

}  // namespace
}  // namespace cpaway::fs
