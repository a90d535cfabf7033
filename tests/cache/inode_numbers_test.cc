#include "cache/inode_numbers.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

upload::FileIdentity file_of(uint64_t ino) {
  return {1, ino, 1000, 5, S_IFREG};
}

NumberChange number(uint64_t number) {
  return {NumberEntry{1000, 5, S_IFREG, number}, 0};
}

TEST(InodeNumbers, AreBounded) {
  const cpaway::testing::TempDir top;
  auto env = Env::open(top.path(), uint64_t{16} << 20U);
  ASSERT_TRUE(env);
  Health health;
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn);
  constexpr uint64_t kLimit = 10;
  for (uint64_t i = 1; i <= 50; ++i) {
    ASSERT_TRUE(apply_number(*txn, {1, i}, number(1000 + i), health, kLimit));
    EXPECT_EQ(find_number(*txn, file_of(i), health).value(), 1000 + i);
    EXPECT_LE(txn->count(Table::numbers).value(), kLimit);
    EXPECT_EQ(txn->count(Table::numbers).value(), txn->count(Table::owners).value());
  }
  // One that has a number already takes nobody's place.
  const auto last = find_number(*txn, file_of(49), health);
  ASSERT_TRUE(apply_number(*txn, {1, 50}, number(2000), health, kLimit));
  EXPECT_EQ(txn->count(Table::numbers).value(), kLimit);
  EXPECT_EQ(find_number(*txn, file_of(49), health).value(), last.value());
  EXPECT_FALSE(health.condemned());
}

TEST(InodeNumbers, DamagedOnesAreForgotten) {
  const cpaway::testing::TempDir top;
  auto env = Env::open(top.path(), uint64_t{16} << 20U);
  ASSERT_TRUE(env);
  Health health;
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn);
  ASSERT_TRUE(txn->put(Table::numbers, file_key(1, 7), as_bytes("damage")));
  ASSERT_TRUE(txn->put(Table::owners, number_key(99), as_bytes("\x99")));
  EXPECT_FALSE(find_number(*txn, file_of(7), health).value());
  EXPECT_FALSE(find_owner(*txn, 99, health).value());
  EXPECT_TRUE(health.condemned());
  ASSERT_TRUE(apply_number(*txn, {1, 7}, number(99), health));
  EXPECT_EQ(find_number(*txn, file_of(7), health).value(), 99U);
}

}  // namespace
}  // namespace cpaway::cache
