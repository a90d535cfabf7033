// Times of what is being written, and of the directory that it is in.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

class Times : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
    }
  }
  static struct stat stat_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
    return st;
  }
  static double seconds(const timespec& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  // The time itself is what is tested here.
  static void let_time_pass() { std::this_thread::sleep_for(std::chrono::milliseconds(500)); }
};

TEST_F(Times, AFileIsAsOldAsItsLastWrite) {
  for (const char* how : {"write", "touch", "fsync"}) {
    UniqueFd fd = open_on_mount(how, O_WRONLY | O_CREAT);
    ASSERT_EQ(::write(fd.get(), "x", 1), 1);
    if (how == std::string("touch")) {
      let_time_pass();
      ASSERT_EQ(::futimens(fd.get(), nullptr), 0);
    }
    struct stat before {};
    ASSERT_EQ(::fstat(fd.get(), &before), 0);
    let_time_pass();
    if (how == std::string("fsync")) {
      ASSERT_EQ(::fsync(fd.get()), 0);
    }
    fd.reset();
    EXPECT_NEAR(seconds(stat_of(on_remote(how)).st_mtim), seconds(before.st_mtim), 0.3) << how;
  }
}

// Also right after the close, when the kernel has attributes from before.
TEST_F(Times, CloseShowsWhatWasCommitted) {
  for (int i = 0; i < 100; ++i) {
    UniqueFd fd = open_on_mount("f", O_WRONLY | O_CREAT | O_TRUNC);
    ASSERT_EQ(::write(fd.get(), "x", 1), 1);
    struct stat before {};
    ASSERT_EQ(::fstat(fd.get(), &before), 0);
    fd.reset();
    const struct stat now = stat_of(on_mount("f"));
    const struct stat there = stat_of(on_remote("f"));
    EXPECT_EQ(seconds(now.st_mtim), seconds(there.st_mtim)) << i;
    EXPECT_EQ(seconds(now.st_ctim), seconds(there.st_ctim)) << i;
    EXPECT_EQ(now.st_blocks, there.st_blocks) << i;
  }
}

TEST_F(Times, ADirectoryChangesWithItsNames) {
  must("mkdir " + on_mount("d"));
  UniqueFd fd = open_on_mount("d/f", O_WRONLY | O_CREAT);
  ASSERT_EQ(::write(fd.get(), "x", 1), 1);
  static_cast<void>(stat_of(on_mount("d")));  // remembered
  fd.reset();
  EXPECT_EQ(seconds(stat_of(on_mount("d")).st_mtim), seconds(stat_of(on_remote("d")).st_mtim));
}

// What make relies on.
TEST_F(Times, WhatIsMadeLaterIsNotOlder) {
  const std::string dep = on_mount("dep");
  const auto create = [&] { open_on_mount("dep", O_WRONLY | O_CREAT).reset(); };
  const auto touch = [&] {
    const UniqueFd fd = open_on_mount("dep", O_WRONLY | O_CREAT);
    EXPECT_EQ(::futimens(fd.get(), nullptr), 0);
  };
  const auto make_directory = [&] { EXPECT_EQ(::mkdir(dep.c_str(), 0755), 0); };
  const auto append = [&] {
    create();
    const UniqueFd fd = open_on_mount("dep", O_WRONLY | O_APPEND);
    EXPECT_EQ(::write(fd.get(), "x", 1), 1);
  };
  const std::vector<std::function<void()>> makers = {create, touch, make_directory, append};
  for (size_t i = 0; i < 20 * makers.size(); ++i) {
    makers[i % makers.size()]();
    open_on_mount("target", O_WRONLY | O_CREAT).reset();
    EXPECT_GE(seconds(stat_of(on_remote("target")).st_mtim),
              seconds(stat_of(on_remote("dep")).st_mtim))
        << i;
    ASSERT_EQ(::remove(dep.c_str()), 0);
    ASSERT_EQ(::remove(on_mount("target").c_str()), 0);
  }
}

TEST_F(Times, AFailureChangesNothing) {
  const UniqueFd fd = open_on_mount("f", O_WRONLY | O_CREAT);
  const timespec old[2] = {{1000, 0}, {2000, 0}};
  ASSERT_EQ(::futimens(fd.get(), old), 0);
  ASSERT_EQ(::ftruncate(fd.get(), INT64_MAX - 4096), -1);
  struct stat now {};
  ASSERT_EQ(::fstat(fd.get(), &now), 0);
  EXPECT_EQ(now.st_mtim.tv_sec, 2000);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(stat_of(on_remote("f")).st_mtim.tv_sec, 2000);
}

TEST_F(Times, WritingIsNoAccess) {
  must("echo old > " + on_mount("f") + " && touch -a -d 2001-01-01 " + on_remote("f"));
  must("printf N | dd conv=notrunc status=none of=" + on_mount("f"));
  EXPECT_LT(stat_of(on_remote("f")).st_atim.tv_sec, 1'000'000'000);
}

}  // namespace
}  // namespace cpaway::testing
