#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/cache/known_files.h"
#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;
using cpaway::testing::make_version;
using cpaway::testing::open_store;
using cpaway::testing::same_version;
using cpaway::testing::TempDir;

// Each thread has its own files, and finds what it wrote at every moment, whether queued, being
// committed or committed.
void use_store(Store& store, uint64_t thread, std::atomic<int>& wrong) {
  const std::string path = "path" + std::to_string(thread);
  for (uint64_t round = 0; round < 60; ++round) {
    auto version = make_version(thread * 1000 + round % 7, 100 + round, path);
    version.file.key.ctime_ns = static_cast<uint32_t>(round);
    store.remember(version);
    const auto found = store.find_version(version.file.key);
    wrong += found && same_version(*found, version) ? 0 : 1;
    const upload::KnownFile before = version.file;
    version.file.key.ctime_s += 1;
    store.rekey(before.key, version.file);
    wrong += store.find_version(version.file.key) && !store.find_version(before.key) ? 0 : 1;
    wrong += store.find_similar(cpaway::testing::ids_of(version.chunks), 3).size() > 3 ? 1 : 0;
    if (round % 10 == 0) {
      store.start_checkpoint(path, "s");
    }
    store.acknowledge(path, make_block(round * 10, 10));
    const auto checkpoint = store.find_checkpoint(path);
    wrong += checkpoint && checkpoint->blocks.size() == round % 10 + 1 ? 0 : 1;
    wrong += store.checkpoints().empty() ? 1 : 0;
    store.record({});
    wrong += store.recent(5).empty() ? 1 : 0;
    if (round % 20 == 19) {
      store.flush();
    }
  }
  store.drop_checkpoint(path);
  wrong += store.find_checkpoint(path) ? 1 : 0;
}

TEST(Threads, SeeTheirOwnChangesAtOnce) {
  const TempDir top;
  auto store = open_store(top.path());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t i = 1; i <= 6; ++i) {
    threads.emplace_back([&, i] { use_store(*store, i, wrong); });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(store->counts().rebuilt, 0U);
  EXPECT_EQ(store->counts().changes_dropped, 0U);
}

}  // namespace
}  // namespace cpaway::cache
