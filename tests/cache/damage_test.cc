// A damaged store is forgotten, wholly or in part, and nothing worse: no crash, no signal, no hang.
// All use of damaged stores happens in child processes, where each of these would be seen.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>

#include "cache/env.h"
#include "engine/base/log.h"
#include "tests/cache/known_files.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;
using cpaway::testing::make_version;
using cpaway::testing::open_store;
using cpaway::testing::TempDir;

constexpr uint64_t kFiles = 30;
constexpr uint64_t kMaxSize = uint64_t{16} << 20U;
constexpr unsigned kDeadline_s = 60;

size_t chunks_of(uint64_t ino) {
  return 5 + ino * 17 % 400;
}

void fill(const std::string& directory) {
  auto store = open_store(directory, kMaxSize);
  for (uint64_t ino = 1; ino <= kFiles; ++ino) {
    store->remember(make_version(ino, chunks_of(ino)));
    const std::string path = "path" + std::to_string(ino % 20);
    store->start_checkpoint(path, "staging");
    for (uint64_t block = 0; block < 100; ++block) {
      store->acknowledge(path, make_block(block * 100, 100));
    }
    store->record({});
    if (ino % 7 == 0) {
      store->flush();
    }
  }
}

// Whatever is found must be right; all may be missing.
bool use_all_of_it(const std::string& directory) {
  auto store = open_store(directory, kMaxSize);
  bool right = true;
  for (uint64_t ino = 1; ino <= kFiles; ++ino) {
    auto version = make_version(ino, chunks_of(ino));
    const auto ids = cpaway::testing::ids_of(version.chunks);
    const auto found = store->find_version(version.file.key);
    right = right && (!found || found->sha256 == version.sha256);
    right = right && (!found || found->chunks.empty() || found->chunks == version.chunks);
    right = right && store->find_similar(ids, 3).size() <= 3;
  }
  for (const auto& listed : store->checkpoints()) {
    const auto checkpoint = store->find_checkpoint(listed.path);
    right = right && (!checkpoint || checkpoint->blocks.size() <= 100);
  }
  right = right && store->recent(2000).size() <= 1000;
  for (uint64_t ino = 1; ino <= kFiles + 5; ++ino) {  // replaces, and so erases, all there is
    store->remember(make_version(ino, 120));
    store->drop_checkpoint("path" + std::to_string(ino % 20));
  }
  store->flush();
  store->record({});
  store->flush();
  return right && store->counts().rebuilt <= 1;
}

int use_in_child(const std::string& directory) {
  return cpaway::testing::run_in_child([&] {
    alarm(kDeadline_s);
    log::set_level(log::Level::error);
    _exit(use_all_of_it(directory) ? 0 : 5);
  });
}

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() {
    fill(top_.path());
    whole_ = cpaway::testing::read_file(file_);
  }
  void damage(const std::string& content) const {
    std::filesystem::remove_all(top_.path() + "/store.damaged");
    cpaway::testing::write_file(file_, content);
  }
  [[nodiscard]] bool set_aside() const {
    return std::filesystem::exists(top_.path() + "/store.damaged");
  }

  const TempDir top_;
  const std::string file_ = cpaway::testing::data_file(top_.path());
  std::string whole_;
};

TEST_F(DamageTest, AWholeStoreIsKept) {
  EXPECT_EQ(use_in_child(top_.path()), 0);
  EXPECT_FALSE(set_aside());
}

// Each page in turn: its header, the offsets behind it, somewhere in the middle, its end.
TEST_F(DamageTest, FlippedBytesInEveryPage) {
  constexpr size_t kPageSize = 4096;
  std::mt19937 random(1);
  const size_t pages = whole_.size() / kPageSize;
  ASSERT_GT(pages, 30U);
  const size_t step = std::max<size_t>(1, pages / 20);
  for (size_t page = 0; page < pages; page += page < 12 ? 1 : step) {
    std::string bad = whole_;
    const size_t region = random() % 4;
    const size_t offset = region == 0   ? random() % 16
                          : region == 1 ? 16 + random() % 64
                          : region == 2 ? random() % kPageSize
                                        : kPageSize - 1 - random() % 64;
    bad[page * kPageSize + offset] ^= static_cast<char>(1U << (random() % 8));
    damage(bad);
    ASSERT_EQ(use_in_child(top_.path()), 0) << "page " << page << " offset " << offset;
  }
}

TEST_F(DamageTest, EveryByteOfTheMetaPages) {
  for (const size_t page : {0U, 1U}) {
    for (size_t offset = 0; offset < 152; offset += 13) {
      std::string bad = whole_;
      bad[page * 4096 + offset] ^= static_cast<char>(0x41);
      damage(bad);
      ASSERT_EQ(use_in_child(top_.path()), 0) << "page " << page << " offset " << offset;
    }
  }
}

TEST_F(DamageTest, PagesOfOtherPagesAndOfZeros) {
  std::mt19937 random(2);
  for (int i = 0; i < 16; ++i) {
    std::string bad = whole_;
    for (int page = 0; page < 3; ++page) {
      const size_t to = 2 + random() % (whole_.size() / 4096 - 2);
      const size_t from = 2 + random() % (whole_.size() / 4096 - 2);
      bad.replace(to * 4096, 4096,
                  i % 2 == 0 ? std::string(4096, '\0') : whole_.substr(from * 4096, 4096));
    }
    damage(bad);
    ASSERT_EQ(use_in_child(top_.path()), 0) << i;
  }
}

TEST_F(DamageTest, Truncation) {
  for (const size_t size : {size_t{1}, size_t{4095}, size_t{4096}, size_t{8192}, whole_.size() / 2,
                            whole_.size() - 4096, whole_.size() - 1}) {
    damage(whole_.substr(0, size));
    ASSERT_EQ(use_in_child(top_.path()), 0) << size;
  }
  damage("");
  EXPECT_EQ(use_in_child(top_.path()), 0);
  EXPECT_FALSE(set_aside());
}

TEST_F(DamageTest, GarbageIsSetAside) {
  damage(std::string(100'000, 'g'));
  EXPECT_EQ(use_in_child(top_.path()), 0);
  EXPECT_TRUE(set_aside());
  EXPECT_EQ(cpaway::testing::read_file(top_.path() + "/store.damaged/data.mdb")[0], 'g');
}

TEST_F(DamageTest, OtherFilesOfTheStoreDoNotMatter) {
  for (const char* name : {"/store/lock.mdb", "/store/owner.lock"}) {
    cpaway::testing::write_file(top_.path() + name, std::string(9000, '\xff'));
    EXPECT_EQ(use_in_child(top_.path()), 0);
    EXPECT_FALSE(set_aside());
  }
}

void put_schema(const std::string& directory, ByteSpan value) {
  auto env = Env::open(directory + "/store", kMaxSize);
  ASSERT_TRUE(env);
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn && txn->put(Table::about, as_bytes("schema"), value) && txn->commit());
}

TEST_F(DamageTest, AnotherSchemaIsSetAside) {
  put_schema(top_.path(), encode_schema(kSchemaVersion + 1));
  EXPECT_EQ(use_in_child(top_.path()), 0);
  EXPECT_TRUE(set_aside());
}

TEST_F(DamageTest, AnUnreadableSchemaIsSetAside) {
  put_schema(top_.path(), as_bytes("what"));
  EXPECT_EQ(use_in_child(top_.path()), 0);
  EXPECT_TRUE(set_aside());
}

void spoil(const std::string& directory, Table table, size_t count) {
  auto env = Env::open(directory + "/store", kMaxSize);
  ASSERT_TRUE(env);
  std::vector<Bytes> keys;
  auto txn = WriteTxn::begin(**env);
  ASSERT_TRUE(txn);
  {
    auto cursor = Cursor::open(*txn, table);
    ASSERT_TRUE(cursor);
    for (auto more = cursor->first(); more && *more && keys.size() < count; more = cursor->next()) {
      keys.emplace_back(cursor->key().begin(), cursor->key().end());
    }
  }
  for (const Bytes& key : keys) {
    ASSERT_TRUE(txn->put(table, key, as_bytes("spoilt")));
  }
  ASSERT_TRUE(txn->commit());
}

TEST_F(DamageTest, OneBadValueIsForgottenAlone) {
  spoil(top_.path(), Table::files, 1);
  auto store = open_store(top_.path(), kMaxSize);
  size_t known = 0;
  for (uint64_t ino = 1; ino <= kFiles; ++ino) {
    known += store->find_version(make_version(ino, chunks_of(ino)).file.key) ? 1 : 0;
  }
  EXPECT_EQ(known, kFiles - 1);
  store->flush();
  EXPECT_EQ(store->counts().rebuilt, 0U);
}

TEST_F(DamageTest, SeveralBadValuesCondemnTheStore) {
  for (const Table table : {Table::files, Table::lists, Table::uses, Table::checkpoints,
                            Table::blocks, Table::history}) {
    damage(whole_);
    spoil(top_.path(), table, 10);
    ASSERT_EQ(use_in_child(top_.path()), 0) << static_cast<int>(table);
    EXPECT_TRUE(set_aside() || table == Table::uses) << static_cast<int>(table);
  }
}

TEST_F(DamageTest, ReadersGoOnWhileTheStoreIsReplaced) {
  spoil(top_.path(), Table::files, kFiles);
  auto store = open_store(top_.path(), kMaxSize);
  std::vector<std::thread> readers;
  for (uint64_t i = 0; i < 4; ++i) {
    readers.emplace_back([&store, i] {
      for (uint64_t round = 0; round < 300; ++round) {
        const auto version = make_version(1 + (i + round) % kFiles, 100);
        if (store->find_version(version.file.key)) {
          continue;
        }
        store->remember(version);
        EXPECT_LE(store->checkpoints().size(), 20U);
      }
    });
  }
  for (auto& reader : readers) {
    reader.join();
  }
  store->flush();
  EXPECT_TRUE(testing::wait_until([&store] { return store->counts().rebuilt == 1U; }));
}

TEST_F(DamageTest, ARebuiltStoreServesOn) {
  spoil(top_.path(), Table::history, 5);
  auto store = open_store(top_.path(), kMaxSize);
  EXPECT_TRUE(store->recent(1000).size() < kFiles);
  const auto version = make_version(999, 100);
  for (int i = 0; i < 100 && store->counts().rebuilt == 0; ++i) {
    store->record({});
    store->flush();
  }
  EXPECT_EQ(store->counts().rebuilt, 1U);
  store->remember(version);
  store->flush();
  EXPECT_TRUE(store->find_version(version.file.key));
  EXPECT_FALSE(store->find_version(make_version(1, chunks_of(1)).file.key));
  store.reset();
  EXPECT_TRUE(open_store(top_.path(), kMaxSize)->find_version(version.file.key));
}

}  // namespace
}  // namespace cpaway::cache
