#include "cache/env.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::TempDir;

constexpr uint64_t kMapSize = uint64_t{4} << 20U;

Bytes bytes(std::string_view text) {
  const ByteSpan span = as_bytes(text);
  return {span.begin(), span.end()};
}

std::string get(const ReadTxn& txn, std::string_view key) {
  const auto value = txn.get(Table::files, as_bytes(key));
  return value && *value ? std::string(as_text(**value)) : "none";
}

TEST(Env, KeepsWhatIsCommittedAndNothingElse) {
  const TempDir top;
  {
    auto env = Env::open(top.path(), kMapSize);
    ASSERT_TRUE(env) << env.error().to_string();
    {
      auto txn = WriteTxn::begin(**env);
      ASSERT_TRUE(txn);
      EXPECT_TRUE(txn->put(Table::files, as_bytes("a"), as_bytes("1")));
      EXPECT_TRUE(txn->put(Table::files, as_bytes("b"), {}));
      EXPECT_EQ(get(*txn, "a"), "1");
      EXPECT_TRUE(txn->commit());
    }
    auto txn = WriteTxn::begin(**env);
    ASSERT_TRUE(txn);
    EXPECT_TRUE(txn->put(Table::files, as_bytes("c"), as_bytes("3")));
    EXPECT_TRUE((*env)->sync());
  }
  auto env = Env::open(top.path(), kMapSize);
  ASSERT_TRUE(env);
  auto txn = ReadTxn::begin(**env);
  ASSERT_TRUE(txn);
  EXPECT_EQ(get(*txn, "a"), "1");
  EXPECT_EQ(get(*txn, "b"), "");
  EXPECT_EQ(get(*txn, "c"), "none");
  EXPECT_EQ(txn->count(Table::files).value_or(0), 2U);
  EXPECT_GE(txn->pages_used().value_or(0), 4U);
}

TEST(Env, ReadersSeeTheStateTheyBeganWith) {
  const TempDir top;
  auto env = Env::open(top.path(), kMapSize);
  ASSERT_TRUE(env);
  auto before = ReadTxn::begin(**env);
  auto second_of_thread = ReadTxn::begin(**env);
  ASSERT_TRUE(before && second_of_thread);
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn && txn->put(Table::files, as_bytes("a"), as_bytes("1")) && txn->commit());
  EXPECT_EQ(get(*before, "a"), "none");
}

TEST(Env, CursorsWalkInOrder) {
  const TempDir top;
  auto env = Env::open(top.path(), kMapSize);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn);
  {
    auto empty = Cursor::open(*txn, Table::uses);
    ASSERT_TRUE(empty);
    EXPECT_FALSE(empty->first().value_or(true));
    EXPECT_FALSE(empty->last().value_or(true));
  }
  for (const char* key : {"b", "d", "f"}) {
    ASSERT_TRUE(txn->append(Table::uses, as_bytes(key), as_bytes(key)));
  }
  EXPECT_FALSE(txn->append(Table::uses, as_bytes("a"), {}));  // would not be the last
  auto cursor = Cursor::open(*txn, Table::uses);
  ASSERT_TRUE(cursor);
  EXPECT_TRUE(cursor->seek(as_bytes("c")).value_or(false));
  EXPECT_EQ(as_text(cursor->key()), "d");
  EXPECT_TRUE(cursor->next().value_or(false));
  EXPECT_EQ(as_text(cursor->value()), "f");
  EXPECT_FALSE(cursor->next().value_or(true));
  EXPECT_FALSE(cursor->seek(as_bytes("g")).value_or(true));
  EXPECT_TRUE(cursor->first().value_or(false));
  EXPECT_EQ(as_text(cursor->key()), "b");
  EXPECT_TRUE(cursor->last().value_or(false));
  EXPECT_TRUE(cursor->previous().value_or(false));
  EXPECT_EQ(as_text(cursor->key()), "d");
}

TEST(Env, EraseSaysWhetherThereWasOne) {
  const TempDir top;
  auto env = Env::open(top.path(), kMapSize);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn && txn->put(Table::blocks, as_bytes("a"), {}));
  EXPECT_TRUE(txn->erase(Table::blocks, as_bytes("a")).value_or(false));
  EXPECT_FALSE(txn->erase(Table::blocks, as_bytes("a")).value_or(true));
}

TEST(Env, FullMapIsALimitAndNoDamage) {
  const TempDir top;
  auto env = Env::open(top.path(), kMapSize);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn);
  const Bytes big(kMapSize / 4);
  Status put;
  for (int i = 0; i < 8 && put; ++i) {
    put = txn->put(Table::lists, bytes("key" + std::to_string(i)), big);
  }
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Errc::limit);
  EXPECT_FALSE(is_damage(put.error()));
}

TEST(Env, GarbageIsDamage) {
  const TempDir top;
  cpaway::testing::write_file(top.file("data.mdb"), std::string(8192, 'x'));
  const auto env = Env::open(top.path(), kMapSize);
  ASSERT_FALSE(env);
  EXPECT_TRUE(is_damage(env.error())) << env.error().to_string();
}

TEST(Env, MissingDirectoryIsAnErrno) {
  const auto env = Env::open("/nonexistent/store", kMapSize);
  ASSERT_FALSE(env);
  EXPECT_EQ(env.error().code, Errc::os);
  EXPECT_EQ(env.error().os_errno, ENOENT);
}

}  // namespace
}  // namespace cpaway::cache
