// A process killed in the middle of its writes leaves a store that opens, with all but the last
// moments in it.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>

#include "cache/env_check.h"
#include "tests/cache/known_files.h"
#include "tests/support/temp_dir.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;
using cpaway::testing::make_version;
using cpaway::testing::open_store;
using cpaway::testing::TempDir;

// What the child has said, kept by the parent.
struct Progress {
  std::atomic<uint64_t> flushed_blocks{0};
  std::atomic<uint64_t> queued_blocks{0};
};

class SharedProgress {
 public:
  SharedProgress()
      : memory_(mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                     -1, 0)),
        progress_(new (memory_) Progress) {}
  ~SharedProgress() { munmap(memory_, sizeof(Progress)); }
  SharedProgress(const SharedProgress&) = delete;
  SharedProgress& operator=(const SharedProgress&) = delete;
  Progress& operator*() const { return *progress_; }
  Progress* operator->() const { return progress_; }

 private:
  void* memory_;
  Progress* progress_;
};

void write_for_ever(const std::string& directory, Progress& progress) {
  auto store = open_store(directory, uint64_t{8} << 20U);
  if (!store->find_checkpoint("target")) {
    store->start_checkpoint("target", "staging");
    store->flush();
  }
  for (uint64_t i = progress.flushed_blocks;; ++i) {
    store->acknowledge("target", make_block(i * 100, 100));
    ++progress.queued_blocks;
    store->remember(make_version(1 + i % 50, 50 + i % 400));
    store->record({});
    if (i % 3 == 0) {
      store->flush();
      progress.flushed_blocks = i + 1;
    }
  }
}

TEST(Kill, AtAnyMomentLeavesAllThatWasCommitted) {
  const TempDir top;
  const SharedProgress progress;
  constexpr int kKills = 25;
  for (int i = 0; i < kKills; ++i) {
    const int64_t after_us = 20'000 + i * 3'700;
    const int status =
        cpaway::testing::run_in_child([&] { write_for_ever(top.path(), *progress); }, after_us);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    const auto checked = check_env_file(cpaway::testing::data_file(top.path()));
    ASSERT_TRUE(checked) << checked.error().to_string();
    const auto store = open_store(top.path(), uint64_t{8} << 20U);
    EXPECT_FALSE(std::filesystem::exists(top.path() + "/store.damaged"));
    const uint64_t flushed = progress->flushed_blocks;
    if (flushed > 0) {
      const auto checkpoint = store->find_checkpoint("target");
      ASSERT_TRUE(checkpoint);
      EXPECT_GE(checkpoint->blocks.size(), flushed);
      EXPECT_LE(checkpoint->blocks.size(), progress->queued_blocks);
    }
  }
  EXPECT_GT(progress->flushed_blocks, 0U);
}

// Without any flush, what was acknowledged a second before the kill is there.
TEST(Kill, LosesTheLastMomentOnly) {
  const TempDir top;
  const int status = cpaway::testing::run_in_child(
      [&] {
        auto store = open_store(top.path());
        store->start_checkpoint("target", "staging");
        for (uint64_t i = 0; i < 1000; ++i) {
          store->acknowledge("target", make_block(i * 100, 100));
        }
        for (;;) {
          pause();
        }
      },
      2'000'000);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto checkpoint = open_store(top.path())->find_checkpoint("target");
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->blocks.size(), 1000U);
}

}  // namespace
}  // namespace cpaway::cache
