#include "cache/store_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::TempDir;

TEST(StoreDirectory, IsPrivateAndHeldByOne) {
  const TempDir top;
  const auto first = StoreDirectory::open(top.path());
  ASSERT_TRUE(first);
  struct stat info;
  ASSERT_EQ(stat(first->path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
  const auto second = StoreDirectory::open(top.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().os_errno, EBUSY);
  EXPECT_THAT(second.error().to_string(), ::testing::HasSubstr("another process"));
}

TEST(StoreDirectory, SetAsideKeepsTheLastDamagedOne) {
  const TempDir top;
  auto directory = StoreDirectory::open(top.path());
  ASSERT_TRUE(directory);
  for (const char* content : {"first", "second"}) {
    cpaway::testing::write_file(directory->data_file(), content);
    ASSERT_TRUE(directory->set_aside());
    EXPECT_FALSE(std::filesystem::exists(directory->data_file()));
    EXPECT_EQ(cpaway::testing::read_file(top.path() + "/store.damaged/data.mdb"), content);
  }
  EXPECT_FALSE(StoreDirectory::open(top.path()));  // the new one is held too
}

TEST(StoreDirectory, LockFileHasItsBlocks) {
  const TempDir top;
  const auto directory = StoreDirectory::open(top.path());
  ASSERT_TRUE(directory && directory->make_lock_file());
  struct stat info;
  ASSERT_EQ(stat((directory->path() + "/lock.mdb").c_str(), &info), 0);
  EXPECT_GE(info.st_blocks * 512, info.st_size);
}

TEST(StoreDirectory, NamesThePathThatCannotBeMade) {
  const auto directory = StoreDirectory::open("/nonexistent");
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().to_string(), ::testing::HasSubstr("/nonexistent/store"));
}

}  // namespace
}  // namespace cpaway::cache
