// What the store costs: bytes of its file for each byte of content that it describes.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "tests/cache/known_files.h"
#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_version;
using cpaway::testing::open_store;
using cpaway::testing::TempDir;

constexpr double kMaxCost = 0.003;
// What a mount on a gigabit link uploads in the 100 ms of a batch. Each commit copies the pages it
// changes, so that the file holds the free pages of the last two: more, the larger a batch is.
constexpr uint64_t kContentOfABatch = 12'000'000;

double measure(const char* name, uint64_t file_count, size_t chunk_count) {
  const TempDir top;
  uint64_t described = 0;
  uint64_t pending = 0;
  uint64_t used = 0;
  {
    auto store = open_store(top.path(), uint64_t{1} << 30U);
    for (uint64_t i = 1; i <= file_count; ++i) {
      // Inodes as a filesystem gives them to files of several directories, not in order.
      const uint64_t ino = 100'000 + i * 7919 % 65537;
      auto version = make_version(ino, chunk_count, "some/directory/file" + std::to_string(i));
      pending += version.file.key.size;
      store->remember(std::move(version));
      if (pending > kContentOfABatch) {
        store->flush();
        described += std::exchange(pending, 0);
      }
    }
    store->flush();
    described += pending;
    EXPECT_EQ(store->counts().changes_dropped, 0U);
    used = store->bytes_used();
  }
  struct stat info;
  EXPECT_EQ(stat(cpaway::testing::data_file(top.path()).c_str(), &info), 0);
  const double cost = static_cast<double>(info.st_size) / static_cast<double>(described);
  std::printf("%s: %.1f MB in the file, %.1f in use, for %.1f MB of content: %.3f %%\n", name,
              static_cast<double>(info.st_size) / 1e6, static_cast<double>(used) / 1e6,
              static_cast<double>(described) / 1e6, 100 * cost);
  return cost;
}

TEST(Cost, OfBigFiles) {
  EXPECT_LT(measure("4 files of 1.2 GB", 4, 131'072), kMaxCost);
}
TEST(Cost, OfMiddlingFiles) {
  EXPECT_LT(measure("400 files of 10 MB", 400, 1100), kMaxCost);
}
TEST(Cost, OfTheSmallestFilesWithAList) {
  EXPECT_LT(measure("4000 files of 900 KB", 4000, 97), kMaxCost);
}
TEST(Cost, OfFilesOfAHundredKilobytes) {
  EXPECT_LT(measure("15000 files of 100 KB", 15'000, 11), kMaxCost);
}

// Printed, not asserted: machines differ.
TEST(Cost, OfTime) {
  const TempDir top;
  auto store = open_store(top.path(), uint64_t{1} << 30U);
  const auto version = make_version(1, 131'072);
  const auto start = std::chrono::steady_clock::now();
  auto print = [last = start](const char* what) mutable {
    const auto now = std::chrono::steady_clock::now();
    std::printf("%s: %.2f ms\n", what,
                std::chrono::duration<double, std::milli>(now - last).count());
    last = std::chrono::steady_clock::now();
  };
  store->remember(version);
  print("remember 131072 chunks");
  store->flush();
  print("commit it");
  EXPECT_TRUE(store->find_version(version.file.key));
  print("find it");
  EXPECT_FALSE(store->find_similar(cpaway::testing::ids_of(version.chunks), 5).empty());
  print("find similar");
  constexpr int kCommits = 50;
  for (int i = 0; i < kCommits; ++i) {
    store->acknowledge("none", cpaway::testing::make_block(0, 1));
    store->flush();
  }
  print("50 empty commits");
  store->start_checkpoint("path", "s");
  for (int i = 0; i < kCommits; ++i) {
    store->acknowledge("path", cpaway::testing::make_block(static_cast<uint64_t>(i), 1));
    store->flush();
  }
  print("50 commits of a block");
}

}  // namespace
}  // namespace cpaway::cache
