#include <gtest/gtest.h>

#include "tests/cache/known_files.h"
#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;
using cpaway::testing::make_version;
using cpaway::testing::open_store;
using cpaway::testing::TempDir;

constexpr uint64_t kMaxSize = uint64_t{4} << 20U;

TEST(Eviction, TheLeastRecentlyUsedGoFirst) {
  const TempDir top;
  auto store = open_store(top.path(), kMaxSize);
  constexpr uint64_t kFiles = 150;  // of 40 KB each: 6 MB
  for (uint64_t ino = 1; ino <= kFiles; ++ino) {
    store->remember(make_version(ino, 2000));
    store->flush();
    EXPECT_LE(store->bytes_used(), kMaxSize) << ino;
    EXPECT_TRUE(store->find_version(make_version(1, 2000).file.key)) << ino;  // always in use
  }
  EXPECT_GT(store->counts().versions_evicted, 30U);
  EXPECT_EQ(store->counts().changes_dropped, 0U);
  EXPECT_GT(store->bytes_used(), kMaxSize * 8 / 10);
  EXPECT_TRUE(store->find_version(make_version(kFiles, 2000).file.key));
  EXPECT_FALSE(store->find_version(make_version(2, 2000).file.key));
  bool known = false;  // those left are the last
  for (uint64_t ino = 2; ino <= kFiles; ++ino) {
    const bool found = store->find_version(make_version(ino, 2000).file.key).has_value();
    EXPECT_TRUE(found || !known) << ino;
    known = known || found;
  }
}

TEST(Eviction, EvictedFilesLeaveNothingInTheIndex) {
  const TempDir top;
  auto store = open_store(top.path(), kMaxSize);
  for (uint64_t ino = 1; ino <= 1000; ++ino) {
    store->remember(make_version(ino, ino % 2 == 0 ? 20 : 500));
    if (ino % 50 == 0) {
      store->flush();  // a batch as large as the store itself would be given up
    }
  }
  ASSERT_GT(store->counts().versions_evicted, 0U);
  for (uint64_t ino = 1; ino <= 1000; ino += 7) {
    const auto version = make_version(ino, ino % 2 == 0 ? 20 : 500);
    const bool found = store->find_version(version.file.key).has_value();
    const bool similar = !store->find_similar(cpaway::testing::ids_of(version.chunks), 1).empty();
    EXPECT_TRUE(found || !similar) << ino;
  }
}

TEST(Eviction, NeverTakesACheckpoint) {
  const TempDir top;
  auto store = open_store(top.path(), kMaxSize);
  store->start_checkpoint("live", "staging");
  for (uint64_t i = 0; i < 10'000; ++i) {
    store->acknowledge("live", make_block(i * 1000, 1000));
  }
  for (uint64_t ino = 1; ino <= 120; ++ino) {
    store->remember(make_version(ino, 2000));
    if (ino % 10 == 0) {
      store->flush();
    }
  }
  store->flush();
  EXPECT_GT(store->counts().versions_evicted, 0U);
  const auto live = store->find_checkpoint("live");
  ASSERT_TRUE(live);
  EXPECT_EQ(live->blocks.size(), 10'000U);
}

// Checkpoints alone fill the map, so that nothing is left to evict: batches are dropped, and the
// store goes on.
TEST(Eviction, WhatFindsNoRoomIsGivenUp) {
  const TempDir top;
  auto store = open_store(top.path(), uint64_t{1} << 20U);  // and a map of 9 MiB
  for (int file = 0; file < 12 && store->counts().changes_dropped == 0; ++file) {
    const std::string path = "path" + std::to_string(file);
    store->start_checkpoint(path, "s");
    for (uint64_t i = 0; i < 60'000; ++i) {
      store->acknowledge(path, make_block(i * 1000, 1000));
    }
    store->flush();
  }
  const auto counts = store->counts();
  EXPECT_GT(counts.changes_dropped, 0U);
  EXPECT_EQ(counts.rebuilt, 0U);
  EXPECT_EQ(store->find_checkpoint("path0")->blocks.size(), 60'000U);
  store->drop_checkpoint("path0");
  store->drop_checkpoint("path1");
  store->flush();
  store->record({});
  store->flush();
  EXPECT_EQ(store->recent(5).size(), 1U);
}

}  // namespace
}  // namespace cpaway::cache
