#include "fs/inode_table.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cache/null_journal.h"
#include "cache/store.h"
#include "engine/base/check.h"
#include "tests/support/temp_dir.h"

namespace cpaway::fs {
namespace {

wire::Attr attr_of(uint64_t ino, uint32_t mode = S_IFREG | 0644, int64_t btime_s = 1000) {
  wire::Attr attr;
  attr.dev = 1;
  attr.ino = ino;
  attr.mode = mode;
  attr.nlink = 1;
  attr.btime.seconds = btime_s;
  return attr;
}

class InodeTableTest : public ::testing::Test {
 protected:
  cache::NullJournal journal;
  InodeTable table{attr_of(2, S_IFDIR | 0755), journal};
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

// ---- inode numbers

TEST_F(InodeTableTest, NoTwoFilesShowOneNumber) {
  const InodePtr file = table.intern(table.root(), "file", attr_of(7));
  table.set_key(file, identity_of(attr_of(8)));
  const wire::Attr next = attr_of(7, S_IFREG | 0644, 2000);
  EXPECT_NE(table.shown_ino(next), file->shown_ino);
  EXPECT_NE(table.intern(table.root(), "next", next)->shown_ino, file->shown_ino);
  EXPECT_NE(table.create(table.root(), "a")->shown_ino, table.create(table.root(), "b")->shown_ino);
}

// A mount after the other, of one store.
class InodeNumbersTest : public ::testing::Test {
 protected:
  void mount_again() {
    table_.reset();
    store_.reset();
    auto store = cache::Store::open({.directory = top_.path()});
    CHECK(store.has_value());
    store_ = std::move(*store);
    table_.emplace(attr_of(2, S_IFDIR | 0755), *store_);
  }
  void SetUp() override { mount_again(); }
  // As lookup(), and as a listing has it.
  uint64_t number_of(const wire::Attr& attr) {
    const uint64_t listed = table_->shown_ino(attr);
    const InodePtr inode = table_->intern(table_->root(), "looked up", attr);
    EXPECT_EQ(inode->shown_ino, listed);
    EXPECT_EQ(table_->shown_ino(attr), listed);
    table_->forget(inode->id, 1);
    return listed;
  }

  const cpaway::testing::TempDir top_;
  std::unique_ptr<cache::Store> store_;
  std::optional<InodeTable> table_;
};

TEST_F(InodeNumbersTest, OfACreatedFileStays) {
  const InodePtr file = table_->create(table_->root(), "file");
  const uint64_t number = file->shown_ino;
  table_->set_key(file, identity_of(attr_of(7)));
  table_->forget(file->id, 1);
  EXPECT_EQ(number_of(attr_of(7)), number);
  mount_again();
  EXPECT_EQ(number_of(attr_of(7)), number);
  EXPECT_EQ(number_of(attr_of(8)), 8U);
}

TEST_F(InodeNumbersTest, OfAReplacedFileStaysAndIsNobodyElses) {
  const InodePtr file = table_->intern(table_->root(), "file", attr_of(7));
  for (const uint64_t ino : {8, 9}) {
    table_->set_key(file, identity_of(attr_of(ino)));
  }
  table_->forget(file->id, 1);
  const wire::Attr next = attr_of(7, S_IFREG | 0644, 2000);
  const uint64_t number_of_next = number_of(next);
  EXPECT_NE(number_of_next, 7U);
  mount_again();
  EXPECT_EQ(number_of(attr_of(9)), 7U);
  EXPECT_EQ(number_of(attr_of(8)), 8U);
  EXPECT_EQ(number_of(next), number_of_next);
}

TEST_F(InodeNumbersTest, GoesWithTheFile) {
  const InodePtr file = table_->create(table_->root(), "file");
  table_->set_key(file, identity_of(attr_of(7)));
  table_->set_key(file, std::nullopt);
  table_->remove_name(*table_->root(), "file");
  EXPECT_EQ(number_of(attr_of(7)), 7U);
}

}  // namespace
}  // namespace cpaway::fs
