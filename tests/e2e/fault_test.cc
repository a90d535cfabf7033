// Damage on the way to the disk, slow answers, full disks, missing permission.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMiB = 1UL << 20U;

class Fault : public MountedRemote {
 protected:
  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

TEST_F(Fault, DamagedBlocksAreSentAgain) {
  mount_with_fault("damage_block=2");
  const std::string file = make_file("f", 10 * kMiB);
  must("cp " + file + " " + on_mount("f"));
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file));
  EXPECT_NE(log().find("sent again"), std::string::npos);
}

TEST_F(Fault, EndlessDamageIsAnErrorAndTheOldFileStays) {
  mount_with_fault("damage_block=-1");
  write_remote("f", "old");
  for (const size_t size : {size_t{100}, 10 * kMiB}) {
    const Finished cp = run_command({"cp", make_file("f", size), on_mount("f")});
    EXPECT_EQ(cp.exit_status, 1);
    EXPECT_NE(cp.err.find("Input/output error"), std::string::npos) << cp.err;
    EXPECT_EQ(read_file(on_remote("f")), "old");
  }
}

TEST_F(Fault, NoRetriesWhereNoneAreWanted) {
  const std::string script = sshd().file("agent");
  write_file(
      script,
      std::string("#!/bin/sh\nCPAWAY_FAULT=damage_block=1 exec ") + CPAWAY_BIN + "/cpaway-agent\n",
      0755);
  mount("verify_retries=0,agent=" + script);
  EXPECT_EQ(run_command({"cp", make_file("f", 3 * kMiB), on_mount("f")}).exit_status, 1);
  EXPECT_TRUE(wait_until([this] { return remote_names().empty(); }));
}

// With every answer 100 ms late, one after the other would take 50 s for the stats and 6 s for the
// blocks. The bounds are far from what a busy machine needs, and far from that.
TEST_F(Fault, SlowAnswersDoNotAddUp) {
  mount_with_fault("delay_reply_ms=100");
  must("mkdir " + on_remote("many") + " && cd " + on_remote("many") +
       " && for i in $(seq 500); do : > f$i; done");
  auto start = std::chrono::steady_clock::now();
  must("cd " + on_mount("many") +
       " && for k in $(seq 0 49); do (for i in $(seq $((k * 10 + 1)) $((k * 10 + 10)));"
       " do [ -e f$i ] || echo missing >&2; done) & done; wait");
  EXPECT_LT(seconds_since(start), 20);
  const std::string file = make_file("f", 64 * kMiB);
  start = std::chrono::steady_clock::now();
  must("cp " + file + " " + on_mount("f"));
  EXPECT_LT(seconds_since(start), 6);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file));
}

// They are asked to make room, when they are committed already. What is left over is found at the
// end.
TEST_F(Fault, SmallFilesBesideLargeOnesLeaveNothing) {
  mount("window=8M");
  must("cd " + mountpoint() +
       " && mkdir d && for k in 1 2; do"
       " dd if=/dev/zero of=large$k bs=1M count=150 status=none & done;"
       " for k in 1 2 3; do (for i in $(seq 150); do echo $i >> d/small$k-$i; done) & done; wait");
  must("rm -r " + on_mount("d"));
  EXPECT_EQ(remote_names(), (std::vector<std::string>{"large1", "large2"}));
}

TEST_F(Fault, SignalsFreeAWaitingProgram) {
  mount_with_fault("delay_reply_ms=5000");
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::signal(signal, SIG_DFL);
      struct stat st {};
      ::stat(on_mount("name" + std::to_string(signal)).c_str(), &st);
      ::_exit(0);
    }
    EXPECT_TRUE(wait_until_it_waits(std::to_string(pid)));
    const auto start = std::chrono::steady_clock::now();
    ::kill(pid, signal);
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_LT(seconds_since(start), 2);
  }
}

// Where the file is locked it would be truncated in place; but its program is gone before that.
TEST_F(Fault, AKilledCopyDoesNotEmptyALockedFile) {
  mount_with_fault("delay_reply_ms=700");
  write_remote("f", "old");
  const UniqueFd locked = open_on_mount("f", O_RDWR);
  ASSERT_EQ(::flock(locked.get(), LOCK_EX), 0);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_NAME, "cp");
    const std::string path = "/proc/self/fd/" + std::to_string(locked.get());
    ::fsetxattr(locked.get(), "user.a", "1", 1, 0);  // so that its attributes are asked for
    static_cast<void>(::write(ready[1], "x", 1));
    ::_exit(::open(path.c_str(), O_WRONLY | O_TRUNC) < 0 ? 1 : 0);
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_TRUE(wait_until_it_waits(std::to_string(pid)));
  ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  struct stat st {};
  EXPECT_EQ(::stat(on_mount("other").c_str(), &st), -1);  // an answer later than that to the open
  EXPECT_EQ(::stat(on_mount("another").c_str(), &st), -1);
  EXPECT_EQ(read_file(on_remote("f")), "old");
}

// Programs do not expect EINTR from such calls. But who waits for an answer that may never come can
// be asked to end.
TEST_F(Fault, CaughtSignalsFreeWhereTheAgentIsSilent) {
  mount_with_fault("delay_reply_ms=6000");
  const pid_t pid = ::fork();
  if (pid == 0) {
    struct sigaction action {};
    action.sa_handler = [](int /*signal*/) {};
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, nullptr);
    struct stat st {};
    ::_exit(::stat(on_mount("name").c_str(), &st) != 0 && errno == EINTR ? 0 : 1);
  }
  EXPECT_TRUE(wait_until_it_waits(std::to_string(pid)));
  ::kill(pid, SIGINT);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(Fault, FullRemoteDiskIsENOSPC) {
  ASSERT_EQ(::mkdir(on_remote("small").c_str(), 0755), 0);
  ASSERT_EQ(::mount("tmpfs", on_remote("small").c_str(), "tmpfs", 0, "size=8m,mode=777"), 0);
  mount();
  must("echo old > " + on_mount("small/f"));
  const Finished cp = run_command({"cp", make_file("f", 20 * kMiB), on_mount("small/f")});
  EXPECT_EQ(cp.exit_status, 1);
  EXPECT_NE(cp.err.find("No space left on device"), std::string::npos) << cp.err;
  EXPECT_EQ(read_file(on_remote("small/f")), "old\n");
  EXPECT_TRUE(wait_until([this] { return staging_files() == 0; }));
  unmount();
  // The agent ends a moment after the mount.
  EXPECT_TRUE(wait_until([this] { return ::umount(on_remote("small").c_str()) == 0; }));
}

// mv unlinks the old file before it copies the new one.
TEST_F(Fault, MvToAFullDiskLeavesTheOldFile) {
  ASSERT_EQ(::mkdir(on_remote("small").c_str(), 0755), 0);
  ASSERT_EQ(::mount("tmpfs", on_remote("small").c_str(), "tmpfs", 0, "size=8m,mode=777"), 0);
  mount();
  must("echo old > " + on_mount("small/f"));
  const std::string file = make_file("f", 20 * kMiB);
  const Finished mv = run_command({"mv", "-f", file, on_mount("small/f")});
  EXPECT_EQ(mv.exit_status, 1);
  EXPECT_NE(mv.err.find("No space left on device"), std::string::npos) << mv.err;
  EXPECT_EQ(::access(file.c_str(), F_OK), 0);
  EXPECT_TRUE(wait_until([this] { return staging_files() == 0; }));
  EXPECT_EQ(read_file(on_remote("small/f")), "old\n");
  EXPECT_EQ(read_file(on_mount("small/f")), "old\n");
  unmount();
  EXPECT_TRUE(wait_until([this] { return ::umount(on_remote("small").c_str()) == 0; }));
}

// Whoever looks at the file meanwhile does not take the error away from fsync.
TEST_F(Fault, WriteInPlaceThatFindsNoRoomFailsAtFsync) {
  ASSERT_EQ(::mkdir(on_remote("small").c_str(), 0755), 0);
  ASSERT_EQ(::mount("tmpfs", on_remote("small").c_str(), "tmpfs", 0, "size=2m,mode=777"), 0);
  mount();
  must("echo old > " + on_mount("small/f"));
  {
    const UniqueFd fd(::open(on_mount("small/f").c_str(), O_RDWR | O_CLOEXEC));
    const std::string text(kMiB, 'x');
    for (off_t at = 0; at < 4; ++at) {
      const ssize_t size =
          ::pwrite(fd.get(), text.data(), text.size(), at * static_cast<off_t>(kMiB));
      EXPECT_EQ(size, static_cast<ssize_t>(kMiB));
    }
    struct stat st {};
    EXPECT_EQ(::fstat(fd.get(), &st), 0);
    char byte = 0;
    EXPECT_EQ(::pread(fd.get(), &byte, 1, 0), 1);
    EXPECT_EQ(::fsync(fd.get()), -1);
    EXPECT_EQ(errno, ENOSPC);
  }
  unmount();
  EXPECT_TRUE(wait_until([this] { return ::umount(on_remote("small").c_str()) == 0; }));
}

TEST_F(Fault, MissingPermissionIsEACCES) {
  ASSERT_EQ(::mkdir(on_remote("theirs").c_str(), 0755), 0);
  write_file(on_remote("theirs/f"), "theirs");
  mount();
  const std::string file = make_file("f", 10);
  for (const char* name : {"theirs/f", "theirs/new"}) {
    const Finished cp = run_command({"cp", file, on_mount(name)});
    EXPECT_EQ(cp.exit_status, 1);
    EXPECT_NE(cp.err.find("Permission denied"), std::string::npos) << cp.err;
  }
  EXPECT_EQ(read_file(on_remote("theirs/f")), "theirs");
}

// Programs get an errno when the agent has gone for good, and the mount can be ended.
TEST_F(Fault, LostLinkIsAnErrorAndUmountWorks) {
  mount("timeout=1");
  must("echo x > " + on_mount("f"));
  sshd().stop();
  const Finished cat = run_command({"cat", on_mount("f")});
  EXPECT_EQ(cat.exit_status, 1);
  const Finished cp = run_command({"cp", make_file("g", 3 * kMiB), on_mount("g")});
  EXPECT_EQ(cp.exit_status, 1);
  unmount();
  sshd().start();
}

TEST_F(Fault, ComesBackAfterALostLink) {
  mount();
  must("echo x > " + on_mount("f"));
  sshd().kill_sessions();
  EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "x\n"; }));
  must("cp " + make_file("g", 3 * kMiB) + " " + on_mount("g"));
  EXPECT_EQ(sha256_of_file(on_remote("g")), sha256_of_file(local("g")));
}

}  // namespace
}  // namespace cpaway::testing
