#include "cache/env_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "cache/env.h"
#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::TempDir;

constexpr uint64_t kMapSize = uint64_t{16} << 20U;

Bytes random_bytes(std::mt19937& random, size_t min_size, size_t max_size) {
  Bytes bytes(min_size + random() % (max_size - min_size + 1));
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random() % 4);  // few, so that keys meet again
  }
  return bytes;
}

// One transaction with every kind of change that LMDB knows of.
void change_at_random(Env& env, std::mt19937& random) {
  auto txn = WriteTxn::begin(env);
  ASSERT_TRUE(txn);
  const size_t change_count = 1 + random() % 60;
  for (size_t i = 0; i < change_count; ++i) {
    const auto table = static_cast<Table>(random() % kTableCount);
    const Bytes key = random_bytes(random, 1, random() % 8 == 0 ? 500 : 6);
    if (random() % 3 == 0) {
      ASSERT_TRUE(txn->erase(table, key));
      continue;
    }
    const size_t max_size = random() % 10 == 0 ? 40000 : random() % 4 == 0 ? 4080 : 300;
    ASSERT_TRUE(txn->put(table, key, random_bytes(random, 0, max_size)));
  }
  if (random() % 5 != 0) {
    ASSERT_TRUE(txn->commit());
  }
}

TEST(EnvCheck, FindsNothingInWhatLmdbWrites) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const TempDir top;
    std::mt19937 random(seed);
    auto env = Env::open(top.path(), kMapSize);
    ASSERT_TRUE(env);
    for (int i = 0; i < 40; ++i) {
      change_at_random(**env, random);
      const auto checked = check_env_file(top.file("data.mdb"));
      ASSERT_TRUE(checked) << checked.error().to_string() << " seed " << seed << " step " << i;
    }
  }
}

TEST(EnvCheck, EmptyAndMissingFilesAreGood) {
  const TempDir top;
  EXPECT_TRUE(check_env_file(top.file("none")));
  cpaway::testing::write_file(top.file("empty"), "");
  EXPECT_TRUE(check_env_file(top.file("empty")));
}

TEST(EnvCheck, GarbageDirectoriesAndShortFilesAreDamage) {
  const TempDir top;
  cpaway::testing::write_file(top.file("garbage"), std::string(100000, 'g'));
  cpaway::testing::write_file(top.file("short"), "short");
  for (const char* name : {"garbage", "short", "."}) {
    const auto checked = check_env_file(top.file(name));
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, Errc::verify) << name;
  }
}

TEST(EnvCheck, SeesEveryTruncation) {
  const TempDir top;
  {
    auto env = Env::open(top.path(), kMapSize);
    ASSERT_TRUE(env);
    auto txn = WriteTxn::begin(**env);
    ASSERT_TRUE(txn);
    for (uint8_t i = 0; i < 50; ++i) {
      ASSERT_TRUE(txn->put(Table::lists, Bytes{i}, Bytes(3000)));
    }
    ASSERT_TRUE(txn->commit());
  }
  const std::string whole = cpaway::testing::read_file(top.file("data.mdb"));
  ASSERT_TRUE(check_env_file(top.file("data.mdb")));
  for (size_t size = 1; size < whole.size(); size += 1777) {
    ASSERT_EQ(truncate(top.file("data.mdb").c_str(), static_cast<off_t>(size)), 0);
    EXPECT_FALSE(check_env_file(top.file("data.mdb"))) << size;
    cpaway::testing::write_file(top.file("data.mdb"), whole);
  }
}

}  // namespace
}  // namespace cpaway::cache
