#include "cache/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "tests/cache/known_files.h"
#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::ids_of;
using cpaway::testing::make_block;
using cpaway::testing::make_version;
using cpaway::testing::open_store;
using cpaway::testing::same_version;
using cpaway::testing::TempDir;
using ::testing::ElementsAre;

// Every test looks three times: at the queue, at the database, and after opening again.
class StoreTest : public ::testing::Test {
 protected:
  template <typename Look>
  void look_thrice(Look look) {
    SCOPED_TRACE("queued");
    look();
    store_->flush();
    SCOPED_TRACE("committed");
    look();
    reopen();
    SCOPED_TRACE("opened again");
    look();
    EXPECT_EQ(store_->counts().rebuilt, 0U);
  }
  void reopen() {
    store_.reset();
    store_ = open_store(top_.path());
  }

  const TempDir top_;
  std::unique_ptr<Store> store_ = open_store(top_.path());
};

upload::VersionKey later(upload::VersionKey key) {
  ++key.ctime_s;
  return key;
}

std::vector<std::string> paths_of(const std::vector<upload::KnownFile>& files) {
  std::vector<std::string> paths;
  for (const auto& file : files) {
    paths.push_back(file.path);
  }
  return paths;
}

TEST_F(StoreTest, FindsExactlyTheVersionRemembered) {
  const auto version = make_version(1, 3000, std::string(4095, 'p'));
  store_->remember(version);
  look_thrice([&] {
    const auto found = store_->find_version(version.file.key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(same_version(*found, version));
    for (const auto change :
         {&upload::VersionKey::dev, &upload::VersionKey::ino, &upload::VersionKey::size}) {
      auto other = version.file.key;
      ++(other.*change);
      EXPECT_FALSE(store_->find_version(other));
    }
    auto other = version.file.key;
    ++other.mtime_ns;
    EXPECT_FALSE(store_->find_version(other));
    EXPECT_FALSE(store_->find_version(later(version.file.key)));
  });
}

TEST_F(StoreTest, KeepsNoListOfSmallFilesButFindsThem) {
  auto version = make_version(1, kMinListChunks - 1);
  version.chunks[0].id[0] = 0x10;  // one sample at least
  store_->remember(version);
  look_thrice([&] {
    const auto found = store_->find_version(version.file.key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->chunks.empty());
    EXPECT_EQ(found->sha256, version.sha256);
    EXPECT_EQ(paths_of(store_->find_similar(ids_of(version.chunks), 5)).size(), 1U);
  });
}

TEST_F(StoreTest, KeepsWhatHasNoDigestAndNoContent) {
  upload::KnownVersion version;
  version.file.path = "empty";
  store_->remember(version);
  look_thrice([&] {
    const auto found = store_->find_version(version.file.key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(same_version(*found, version));
  });
}

TEST_F(StoreTest, OneInodeHasOneVersion) {
  const auto first = make_version(1, 500);
  auto second = make_version(2, 400, "second");
  second.file.key = later(first.file.key);
  store_->remember(first);
  store_->flush();
  store_->remember(second);
  look_thrice([&] {
    EXPECT_FALSE(store_->find_version(first.file.key));
    const auto found = store_->find_version(second.file.key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(same_version(*found, second));
    EXPECT_TRUE(store_->find_similar(ids_of(first.chunks), 5).empty());
    EXPECT_THAT(paths_of(store_->find_similar(ids_of(second.chunks), 5)), ElementsAre("second"));
  });
}

TEST_F(StoreTest, ReplacingLeavesNothingBehind) {
  store_->remember(make_version(1, 5000));
  store_->flush();
  const uint64_t used = store_->bytes_used();
  for (int i = 0; i < 10; ++i) {
    store_->remember(make_version(1, 5000));
    store_->flush();
  }
  EXPECT_LE(store_->bytes_used(), used + 65536);
}

TEST_F(StoreTest, SimilarFilesComeBestFirst) {
  const auto whole = make_version(1, 2000, "whole");
  auto half = make_version(2, 2000, "half");
  std::copy(whole.chunks.begin(), whole.chunks.begin() + 1000, half.chunks.begin());
  auto quarter = make_version(3, 2000, "quarter");
  std::copy(whole.chunks.begin(), whole.chunks.begin() + 500, quarter.chunks.begin());
  for (const auto& version : {quarter, whole, half, make_version(4, 2000, "other")}) {
    store_->remember(version);
  }
  look_thrice([&] {
    const auto ids = ids_of(whole.chunks);
    EXPECT_THAT(paths_of(store_->find_similar(ids, 9)), ElementsAre("whole", "half", "quarter"));
    EXPECT_THAT(paths_of(store_->find_similar(ids, 2)), ElementsAre("whole", "half"));
    EXPECT_TRUE(store_->find_similar(ids, 0).empty());
    EXPECT_TRUE(store_->find_similar({}, 9).empty());
  });
}

TEST_F(StoreTest, RekeyKeepsTheChunks) {
  auto version = make_version(1, 300);
  const auto before = version.file.key;
  store_->remember(version);
  store_->flush();
  version.file = {later(before), "renamed"};
  store_->rekey(before, version.file);
  look_thrice([&] {
    EXPECT_FALSE(store_->find_version(before));
    const auto found = store_->find_version(version.file.key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(same_version(*found, version));
    EXPECT_THAT(paths_of(store_->find_similar(ids_of(version.chunks), 5)), ElementsAre("renamed"));
  });
}

TEST_F(StoreTest, RekeyToAnotherInodeReplacesWhatWasThere) {
  auto version = make_version(1, 300);
  const auto before = version.file.key;
  const auto replaced = make_version(2, 300, "replaced");
  store_->remember(version);
  store_->remember(replaced);
  version.file = {later(replaced.file.key), "moved"};
  store_->rekey(before, version.file);
  look_thrice([&] {
    EXPECT_FALSE(store_->find_version(before));
    EXPECT_FALSE(store_->find_version(replaced.file.key));
    const auto found = store_->find_version(version.file.key);
    ASSERT_TRUE(found);
    EXPECT_TRUE(same_version(*found, version));
    EXPECT_TRUE(store_->find_similar(ids_of(replaced.chunks), 5).empty());
    EXPECT_THAT(paths_of(store_->find_similar(ids_of(version.chunks), 5)), ElementsAre("moved"));
  });
}

TEST_F(StoreTest, RekeyOfTheUnknownIsNothing) {
  const auto version = make_version(1, 10);
  store_->rekey(later(version.file.key), version.file);
  look_thrice([&] { EXPECT_FALSE(store_->find_version(version.file.key)); });
}

TEST_F(StoreTest, RefusesWhatIsOutOfBounds) {
  auto long_path = make_version(1, 1, std::string(4096, 'p'));
  auto bad_chunk = make_version(2, 1);
  bad_chunk.chunks[0].size = 0;
  auto too_long = make_version(3, 1);
  too_long.chunks.resize(size_t{1} << 20U, too_long.chunks[0]);  // 18 MB in a store of 64
  for (const auto& version : {long_path, bad_chunk, too_long}) {
    store_->remember(version);
    EXPECT_FALSE(store_->find_version(version.file.key));
  }
  store_->start_checkpoint(std::string(4096, 'p'), "s");
  store_->start_checkpoint("p", std::string(256, 's'));
  EXPECT_TRUE(store_->checkpoints().empty());
  EXPECT_EQ(store_->counts().changes_dropped, 5U);
}

TEST_F(StoreTest, CheckpointsGatherBlocks) {
  store_->start_checkpoint("dir/a", ".a.part");
  store_->acknowledge("dir/a", make_block(100, 50));
  store_->flush();
  store_->acknowledge("dir/a", make_block(0, 100));
  store_->acknowledge("dir/b", make_block(0, 100));  // never started
  look_thrice([&] {
    const auto found = store_->find_checkpoint("dir/a");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->path, "dir/a");
    EXPECT_EQ(found->staging_name, ".a.part");
    EXPECT_EQ(found->bytes_acknowledged, 150U);
    EXPECT_GT(found->changed_s, 1'600'000'000);
    ASSERT_EQ(found->blocks.size(), 2U);
    EXPECT_EQ(found->blocks[0].offset, 0U);
    EXPECT_EQ(found->blocks[1].block, make_block(100, 50).block);
    EXPECT_FALSE(store_->find_checkpoint("dir/b"));
    const auto all = store_->checkpoints();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].path, "dir/a");
    EXPECT_EQ(all[0].bytes_acknowledged, 150U);
    EXPECT_TRUE(all[0].blocks.empty());
  });
}

TEST_F(StoreTest, ANewCheckpointReplacesTheOldOne) {
  store_->start_checkpoint("a", "old");
  store_->acknowledge("a", make_block(0, 10));
  store_->flush();
  store_->start_checkpoint("a", "new");
  store_->acknowledge("a", make_block(5, 10));
  look_thrice([&] {
    const auto found = store_->find_checkpoint("a");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->staging_name, "new");
    ASSERT_EQ(found->blocks.size(), 1U);
    EXPECT_EQ(found->blocks[0].offset, 5U);
  });
}

TEST_F(StoreTest, DroppedCheckpointsAreGone) {
  store_->start_checkpoint("a", "s");
  store_->acknowledge("a", make_block(0, 10));
  store_->start_checkpoint("b", "s");
  store_->flush();
  store_->drop_checkpoint("a");
  store_->acknowledge("a", make_block(10, 10));
  look_thrice([&] {
    EXPECT_FALSE(store_->find_checkpoint("a"));
    EXPECT_EQ(store_->checkpoints().size(), 1U);
  });
}

TEST_F(StoreTest, ManyBlocksOfOneCheckpoint) {
  constexpr uint64_t kBlocks = 20'000;
  store_->start_checkpoint("a", "s");
  for (uint64_t i = 0; i < kBlocks; ++i) {
    store_->acknowledge("a", make_block((kBlocks - 1 - i) * 1000, 1000));
  }
  look_thrice([&] {
    const auto found = store_->find_checkpoint("a");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->blocks.size(), kBlocks);
    EXPECT_EQ(found->bytes_acknowledged, kBlocks * 1000);
  });
}

TEST_F(StoreTest, TheOldestCheckpointsMakeWay) {
  constexpr int kCheckpoints = 4096 + 10;
  for (int i = 0; i < kCheckpoints; ++i) {
    store_->start_checkpoint("path" + std::to_string(i), "s");
    if (i == 100) {
      store_->flush();
    }
  }
  store_->flush();
  EXPECT_EQ(store_->checkpoints().size(), 4096U);
}

TEST_F(StoreTest, HistoryIsNewestFirstAndBounded) {
  for (int i = 0; i < 1200; ++i) {
    upload::TransferRecord record;
    record.path = std::to_string(i);
    record.state = "committed";
    record.error = i == 1199 ? std::string(5000, 'e') : "";
    store_->record(std::move(record));
    if (i == 600) {
      store_->flush();
    }
  }
  look_thrice([&] {
    const auto all = store_->recent(5000);
    ASSERT_GE(all.size(), 1000U);
    EXPECT_EQ(all[0].path, "1199");
    EXPECT_EQ(all[0].error.size(), 4095U);
    EXPECT_EQ(all[999].path, "200");
    EXPECT_EQ(store_->recent(1)[0].path, "1199");
    EXPECT_TRUE(store_->recent(0).empty());
  });
  EXPECT_EQ(store_->recent(5000).size(), 1000U);
}

TEST_F(StoreTest, IsHeldByOne) {
  StoreOptions options;
  options.directory = top_.path();
  const auto second = Store::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().os_errno, EBUSY);
}

TEST(StoreOpen, FailsWithoutADirectory) {
  StoreOptions options;
  options.directory = "/proc/nowhere";
  EXPECT_FALSE(Store::open(options));
}

// A file that may not grow stands for a full disk.
TEST(StoreOpen, FullDiskCostsTheBatchAndNotTheProcess) {
  const TempDir top;
  const int status = cpaway::testing::run_in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    auto store = open_store(top.path());
    store->remember(make_version(1, 100));
    store->flush();
    const rlimit limit = {256 << 10U, 256 << 10U};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
      _exit(3);
    }
    store->remember(make_version(2, 50'000));
    store->flush();
    const auto counts = store->counts();
    const bool good = counts.changes_dropped == 1 && counts.rebuilt == 0 &&
                      store->find_version(make_version(1, 100).file.key) &&
                      !store->find_version(make_version(2, 50'000).file.key);
    store.reset();
    _exit(good ? 0 : 4);
  });
  EXPECT_EQ(status, 0);
}

TEST(StoreOpen, TinyDiskIsAnErrorAndNoSignal) {
  const TempDir top;
  const int status = cpaway::testing::run_in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {4096, 4096};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
      _exit(3);
    }
    StoreOptions options;
    options.directory = top.path();
    _exit(Store::open(options) ? 4 : 0);
  });
  EXPECT_EQ(status, 0);
}

// ---- inode numbers

upload::FileIdentity file_of(uint64_t ino, int64_t btime_s = 1000) {
  return {1, ino, btime_s, 5, S_IFREG};
}

TEST_F(StoreTest, KeepsInodeNumbers) {
  store_->remember_number(file_of(7), 99);
  look_thrice([this] {
    EXPECT_EQ(store_->find_number(file_of(7)), 99U);
    EXPECT_FALSE(store_->find_number(file_of(7, 1001)));
    EXPECT_FALSE(store_->find_number({1, 7, 1000, 5, S_IFDIR}));
    EXPECT_TRUE(store_->is_taken(99, file_of(99)));
    EXPECT_FALSE(store_->is_taken(99, file_of(7)));
    EXPECT_FALSE(store_->is_taken(7, file_of(7)));
  });
  store_->forget_number(file_of(7), 99);
  look_thrice([this] {
    EXPECT_FALSE(store_->find_number(file_of(7)));
    EXPECT_FALSE(store_->is_taken(99, file_of(99)));
  });
}

// As with a file that is replaced again and again: in either order of their keys.
TEST_F(StoreTest, AnInodeNumberIsOfOneFile) {
  for (const bool committed_between : {false, true}) {
    for (const auto& [before, after] : {std::pair(7, 8), std::pair(8, 7)}) {
      store_->remember_number(file_of(before), 99);
      if (committed_between) {
        store_->flush();
      }
      store_->remember_number(file_of(after), 99);
      store_->forget_number(file_of(before), 99);
      look_thrice([this, before = before, after = after] {
        EXPECT_FALSE(store_->find_number(file_of(before)));
        EXPECT_EQ(store_->find_number(file_of(after)), 99U);
        EXPECT_TRUE(store_->is_taken(99, file_of(before)));
      });
      store_->forget_number(file_of(after), 99);
    }
  }
}

// The inode of a file that was replaced is given to a new one, and the answers cross.
TEST_F(StoreTest, WhatIsForgottenLateIsTheOldNumber) {
  for (const bool committed_between : {false, true}) {
    store_->remember_number(file_of(7), 98);
    store_->flush();
    store_->remember_number(file_of(7, 2000), 99);
    if (committed_between) {
      store_->flush();
    }
    store_->remember_number(file_of(8), 98);
    store_->forget_number(file_of(7), 98);
    look_thrice([this] {
      EXPECT_EQ(store_->find_number(file_of(7, 2000)), 99U);
      EXPECT_EQ(store_->find_number(file_of(8)), 98U);
      EXPECT_TRUE(store_->is_taken(98, file_of(7)));
    });
    store_->forget_number(file_of(7), 99);
    store_->forget_number(file_of(8), 98);
    store_->flush();
    EXPECT_FALSE(store_->find_number(file_of(8)));
  }
}

TEST_F(StoreTest, ANewInodeNumberReplacesThatOfTheSameFile) {
  store_->remember_number(file_of(7), 98);
  store_->flush();
  store_->remember_number(file_of(7, 2000), 99);
  store_->flush();
  look_thrice([this] {
    EXPECT_EQ(store_->find_number(file_of(7, 2000)), 99U);
    EXPECT_FALSE(store_->is_taken(98, file_of(98)));
  });
}

}  // namespace
}  // namespace cpaway::cache
