// Times of what is being written, and of the directory that it is in.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <thread>

#include "engine/base/fd.h"
#include "engine/base/strings.h"
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

// A program that asks before close sees what it will see after it, as git does for its index.
TEST_F(Times, CloseChangesNone) {
  write_remote("old", "content");
  for (const char* name : {"new", "old"}) {
    for (const bool syncs : {false, true}) {
      struct stat before {};
      {
        const UniqueFd fd = open_on_mount(name, O_WRONLY | O_CREAT | O_TRUNC);
        put(fd, "more content");
        ASSERT_EQ(::fstat(fd.get(), &before), 0);
        let_time_pass();
        if (syncs) {
          ASSERT_EQ(::fsync(fd.get()), 0);
        }
      }
      const struct stat after = stat_of(on_mount(name));
      const struct stat remote = stat_of(on_remote(name));
      for (const auto time : {&stat::st_atim, &stat::st_mtim, &stat::st_ctim}) {
        EXPECT_EQ((after.*time).tv_sec, (before.*time).tv_sec) << name << syncs;
        EXPECT_EQ((after.*time).tv_nsec, (before.*time).tv_nsec) << name << syncs;
      }
      EXPECT_EQ(remote.st_mtim.tv_sec, before.st_mtim.tv_sec) << name << syncs;
      EXPECT_EQ(remote.st_mtim.tv_nsec, before.st_mtim.tv_nsec) << name << syncs;
      // Until something else changes it.
      let_time_pass();
      ASSERT_EQ(::chmod(on_mount(name).c_str(), 0600), 0);
      EXPECT_GT(seconds(stat_of(on_mount(name)).st_ctim), seconds(before.st_ctim) + 0.4);
    }
  }
}

// Programs that remove what they replace are answered before the agent has removed it.
TEST_F(Times, OfADirectoryComeAfterItsUnlinks) {
  for (const int mode : {0755, 0555}) {
    const std::string name = concat("d", mode);
    ASSERT_EQ(::mkdir(on_mount(name).c_str(), 0755), 0);
    write_remote(name + "/f", "content");
    let_time_pass();
    ASSERT_EQ(::prctl(PR_SET_NAME, "rsync"), 0);
    EXPECT_EQ(::unlink(on_mount(name + "/f").c_str()), 0);
    EXPECT_EQ(::chmod(on_mount(name).c_str(), mode), 0);
    const timespec times[2] = {{1000, 0}, {2000, 0}};
    EXPECT_EQ(::utimensat(AT_FDCWD, on_mount(name).c_str(), times, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_NAME, "cpaway_e2e_test"), 0);
    EXPECT_NE(::access(on_remote(name + "/f").c_str(), F_OK), 0);
    EXPECT_EQ(stat_of(on_remote(name)).st_mtim.tv_sec, 2000);
    EXPECT_EQ(stat_of(on_mount(name)).st_mtim.tv_sec, 2000);
    ASSERT_EQ(::chmod(on_mount(name).c_str(), 0755), 0);
  }
}

// A copy is killed, another program goes on with the file: its time is not that of the old version.
TEST_F(Times, WhatIsTakenUpAgainIsNew) {
  write_remote("f", "old");
  const timespec times[2] = {{1000, 0}, {2000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, on_remote("f").c_str(), times, 0), 0);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t copy = ::fork();
  if (copy == 0) {
    ::prctl(PR_SET_NAME, "dd");
    const int fd = ::open(on_mount("f").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    const bool written = ::write(fd, "new", 3) == 3 && ::write(ready[1], "x", 1) == 1;
    ::pause();
    ::_exit(written ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  UniqueFd other = open_on_mount("f", O_WRONLY);
  ASSERT_EQ(::pwrite(other.get(), "N", 1, 0), 1);
  ::kill(copy, SIGKILL);
  ASSERT_EQ(::waitpid(copy, nullptr, 0), copy);
  // Given up as far as is known.
  EXPECT_TRUE(wait_until([this] { return stat_of(on_mount("f")).st_mtim.tv_sec == 2000; }));
  other.reset();
  EXPECT_EQ(read_file(on_remote("f")), "New");
  EXPECT_GT(stat_of(on_remote("f")).st_mtim.tv_sec, 2000);
  EXPECT_GT(stat_of(on_mount("f")).st_ctim.tv_sec, 2000);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Times, ADirectoryShowsItsUnlinksAtOnce) {
  ASSERT_EQ(::mkdir(on_mount("d").c_str(), 0755), 0);
  write_remote("d/f", "content");
  let_time_pass();
  const struct stat before = stat_of(on_mount("d"));
  ASSERT_EQ(::prctl(PR_SET_NAME, "rsync"), 0);
  EXPECT_EQ(::unlink(on_mount("d/f").c_str()), 0);
  ASSERT_EQ(::prctl(PR_SET_NAME, "cpaway_e2e_test"), 0);
  const struct stat after = stat_of(on_mount("d"));
  EXPECT_GT(seconds(after.st_mtim), seconds(before.st_mtim) + 0.4);
  EXPECT_GT(seconds(after.st_ctim), seconds(before.st_ctim) + 0.4);
}

// git asks so whether there may be new files.
TEST_F(Times, ADirectoryShowsAtOnceWhatIsMadeInIt) {
  ASSERT_EQ(::mkdir(on_mount("d").c_str(), 0755), 0);
  for (const bool commits : {true, false}) {
    let_time_pass();
    const struct stat before = stat_of(on_mount("d"));
    UniqueFd fd = open_on_mount("d/f", O_WRONLY | O_CREAT);
    const struct stat made = stat_of(on_mount("d"));
    EXPECT_GT(seconds(made.st_mtim), seconds(before.st_mtim));
    EXPECT_GT(seconds(made.st_ctim), seconds(before.st_ctim));
    ASSERT_EQ(::chmod(on_mount("d").c_str(), 0700), 0);
    ASSERT_EQ(::setxattr(on_mount("d").c_str(), "user.a", "1", 1, 0), 0);
    EXPECT_EQ(seconds(stat_of(on_mount("d")).st_mtim), seconds(made.st_mtim));
    let_time_pass();
    EXPECT_TRUE(commits || ::unlink(on_mount("d/f").c_str()) == 0);
    fd.reset();
    const struct stat after = stat_of(on_mount("d"));
    EXPECT_GT(seconds(after.st_mtim), seconds(made.st_mtim));
    static_cast<void>(::unlink(on_mount("d/f").c_str()));
  }
}

TEST_F(Times, FsyncOfADirectoryMeansItsUnlinks) {
  write_remote("f", "content");
  const UniqueFd dir(::open(mountpoint().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::prctl(PR_SET_NAME, "rsync"), 0);
  EXPECT_EQ(::unlink(on_mount("f").c_str()), 0);
  ASSERT_EQ(::prctl(PR_SET_NAME, "cpaway_e2e_test"), 0);
  EXPECT_EQ(::fsync(dir.get()), 0);
  EXPECT_NE(::access(on_remote("f").c_str(), F_OK), 0);
}

// As backup programs ask for it. The read reaches the agent: its page is in no cache.
TEST_F(Times, NoAtimeLeavesIt) {
  for (const int flags : {O_NOATIME, 0}) {
    const std::string name = concat("f", flags);
    write_remote(name, "content");
    const timespec times[2] = {{1000, 0}, {2000, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, on_remote(name).c_str(), times, 0), 0);
    const UniqueFd fd = open_on_mount(name, O_RDONLY | flags);
    char byte = 0;
    ASSERT_EQ(::read(fd.get(), &byte, 1), 1);
    EXPECT_EQ(stat_of(on_remote(name)).st_atim.tv_sec == 1000, flags != 0);
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
    // That of the commit shows as what it was before (CloseChangesNone).
    EXPECT_LE(seconds(now.st_ctim), seconds(there.st_ctim)) << i;
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
