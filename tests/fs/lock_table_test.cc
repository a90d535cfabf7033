#include "fs/lock_table.h"

#include <gtest/gtest.h>

namespace cpaway::fs {
namespace {

using wire::kFlock;
using wire::kLockEnd;
using wire::kPosixLock;
using wire::kReadLock;
using wire::kUnlock;
using wire::kWriteLock;

class LockTableTest : public ::testing::Test {
 protected:
  LockOwnerPtr add(uint8_t family, uint64_t owner, const std::shared_ptr<OpenFile>& by) {
    const auto made = std::make_shared<LockOwner>(LockKey{inode->id, family, owner}, inode, version,
                                                  next_handle++);
    table.attach(table.add(made), by);
    return table.find(made->key);
  }

  uint32_t next_handle = 1;
  uint64_t version = 1;
  const InodePtr inode = std::make_shared<Inode>(7, 700);
  const std::shared_ptr<OpenFile> file = std::make_shared<OpenFile>(inode, true, O_RDWR);
  const std::shared_ptr<OpenFile> other = std::make_shared<OpenFile>(inode, true, O_RDWR);
  LockTable table;
};

TEST_F(LockTableTest, KnowsWhoIsInTheWay) {
  const auto first = add(kPosixLock, 1, file);
  const auto second = add(kPosixLock, 2, other);
  const auto flock = add(kFlock, 3, other);
  table.record(first, {kWriteLock, 0, 9}, 100);
  table.record(flock, {kWriteLock, 0, kLockEnd}, 300);
  const auto conflict = table.conflict(second, {kReadLock, 5, 5});
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->second, 100);
  EXPECT_EQ(conflict->first, (LockRange{kWriteLock, 0, 9}));
  EXPECT_FALSE(table.conflict(first, {kReadLock, 5, 5}));
  EXPECT_FALSE(table.conflict(second, {kWriteLock, 10, 20}));
  EXPECT_FALSE(table.try_local(second, {kWriteLock, 9, 20}, 200));
  EXPECT_TRUE(table.try_local(first, {kUnlock, 9, 9}, 100));
  EXPECT_TRUE(table.try_local(second, {kWriteLock, 9, 20}, 200));
}

TEST_F(LockTableTest, TheFirstOwnerEntryCounts) {
  const auto first = add(kPosixLock, 1, file);
  EXPECT_EQ(add(kPosixLock, 1, other), first);
  EXPECT_EQ(table.find(first->key), first);
  EXPECT_EQ(table.take(first->key), first);
  EXPECT_EQ(table.take(first->key), nullptr);
}

TEST_F(LockTableTest, AFileTakesItsLocksAlong) {
  const auto flock = add(kFlock, 1, file);
  const auto described = add(kPosixLock, 2, file);
  const auto stays = add(kFlock, 3, other);
  EXPECT_EQ(table.take_all(file), (std::vector<LockOwnerPtr>{described, flock}));
  EXPECT_EQ(table.all(), std::vector<LockOwnerPtr>{stays});
}

// Its number is that of one which was closed just before.
TEST_F(LockTableTest, TheNextFileKeepsWhatItLocksBeforeTheOneBeforeIsReleased) {
  const auto owner = add(kPosixLock, 1, file);
  table.record(owner, {kWriteLock, 0, kLockEnd}, 100);
  EXPECT_EQ(add(kPosixLock, 1, other), owner);
  EXPECT_EQ(table.take_all(file), std::vector<LockOwnerPtr>{});
  EXPECT_TRUE(table.is_locked(inode->id));
  EXPECT_EQ(table.take_all(other), std::vector<LockOwnerPtr>{owner});
}

// Its last close may be on its way.
TEST_F(LockTableTest, KnowsWhoMayBeAboutToLetGo) {
  const auto holder = add(kPosixLock, 1, file);
  const auto asks = add(kPosixLock, 2, other);
  table.record(holder, {kWriteLock, 0, 9}, 100);
  other->flushed_ms = 5000;
  EXPECT_FALSE(table.may_be_closed(asks, {kWriteLock, 0, 0}, 4000));
  file->flushed_ms = 5000;
  EXPECT_TRUE(table.may_be_closed(asks, {kWriteLock, 0, 0}, 4000));
  EXPECT_FALSE(table.may_be_closed(asks, {kWriteLock, 0, 0}, 5001));
  EXPECT_FALSE(table.may_be_closed(asks, {kWriteLock, 10, 10}, 4000));
  EXPECT_FALSE(table.may_be_closed(holder, {kWriteLock, 0, 0}, 4000));
}

TEST_F(LockTableTest, WhoHoldsNothingLocksTheNewVersion) {
  const auto owner = add(kPosixLock, 1, file);
  table.record(owner, {kWriteLock, 0, 9}, 100);
  EXPECT_TRUE(table.is_locked(inode->id));
  LockOwnerPtr outdated;
  EXPECT_EQ(table.use(owner->key, version + 1, &outdated), owner);
  table.record(owner, {kUnlock, 0, 9}, 100);
  EXPECT_FALSE(table.is_locked(inode->id));
  {
    const auto use = table.use(owner->key, version, &outdated);
    EXPECT_EQ(use, owner);
    EXPECT_EQ(table.use(owner->key, version + 1, &outdated), owner);
  }
  EXPECT_EQ(outdated, nullptr);
  EXPECT_EQ(table.use(owner->key, version + 1, &outdated), nullptr);
  EXPECT_EQ(outdated, owner);
  EXPECT_EQ(table.find(owner->key), nullptr);
}

TEST_F(LockTableTest, LostLocksStopTheirFilesUntilTheyGo) {
  const auto owner = add(kPosixLock, 1, file);
  table.attach(owner, other);
  EXPECT_TRUE(table.set_lost(owner));
  EXPECT_FALSE(table.set_lost(owner));
  EXPECT_TRUE(file->lock_lost);
  EXPECT_TRUE(other->lock_lost);
  table.take(owner->key);
  EXPECT_FALSE(file->lock_lost);
  EXPECT_FALSE(other->lock_lost);
  EXPECT_FALSE(table.set_lost(owner));  // gone already
}

TEST_F(LockTableTest, KnowsNamesNearLockedOnes) {
  EXPECT_FALSE(table.is_near(1, "db"));
  table.add_name(1, "db");
  EXPECT_TRUE(table.is_near(1, "db"));
  EXPECT_TRUE(table.is_near(1, "db-journal"));
  EXPECT_FALSE(table.is_near(1, "d"));
  EXPECT_FALSE(table.is_near(2, "db"));
}

}  // namespace
}  // namespace cpaway::fs
