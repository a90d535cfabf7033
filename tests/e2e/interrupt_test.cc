// Programs that are killed: a copying one leaves the old file, any other leaves what it wrote.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

class Interrupt : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
      // Never ends, so that it is surely interrupted in the middle.
      ASSERT_EQ(::mkfifo(local("endless").c_str(), 0600), 0);
    }
  }

  // Linux 6.15 and later, of processes that were reaped.
  static bool kernel_tells_how_programs_ended() {
    struct utsname system {};
    int major = 0;
    int minor = 0;
    return ::uname(&system) == 0 && std::sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 15));
  }

  // Runs `program` with its output going on for ever, kills it in the middle, and waits.
  void kill_in_the_middle(const std::vector<std::string>& argv, int signal) {
    const pid_t feeder = spawn({"/bin/sh", "-c", "exec yes > " + local("endless")});
    const pid_t pid = spawn(argv);
    // In the middle: blocks have reached the staging file.
    EXPECT_TRUE(wait_until([this] { return staged_bytes() > (4U << 20U); }));
    ::kill(pid, signal);
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    ::kill(feeder, SIGKILL);
    ::waitpid(feeder, &status, 0);
  }
};

// Servers are told by signals to reload, to make a checkpoint, to end in order.
TEST_F(Interrupt, CaughtSignalsDoNotInterrupt) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    struct sigaction action {};
    action.sa_handler = [](int /*signal*/) {};
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
      ::sigaction(signal, &action, nullptr);
    }
    bool done = ::write(ready[1], "x", 1) == 1;
    for (int i = 0; done && i < 100; ++i) {
      const std::string name = on_mount("d" + std::to_string(i));
      const UniqueFd fd(::open((name + "f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
      struct stat st {};
      done = fd && ::pwrite(fd.get(), "x", 1, 0) == 1 && ::fsync(fd.get()) == 0 &&
             ::pwrite(fd.get(), "y", 1, 1) == 1 && ::fsync(fd.get()) == 0 &&
             ::mkdir(name.c_str(), 0755) == 0 && ::stat(name.c_str(), &st) == 0 &&
             ::rename((name + "f").c_str(), (name + "/f").c_str()) == 0;
    }
    ::_exit(done ? 0 : errno);
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  int status = 0;
  for (int i = 0; ::waitpid(pid, &status, WNOHANG) == 0; ++i) {
    constexpr int kSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    ::kill(pid, kSignals[i % 4]);
    ::usleep(300);
  }
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Often: the dying program may be gone before the mount has looked at it.
TEST_F(Interrupt, KilledCopyLeavesTheOldFile) {
  const std::vector<int> signals = {SIGINT, SIGTERM, SIGKILL};
  for (size_t i = 0; i < 30; ++i) {
    const int signal = signals[i % signals.size()];
    must("echo old > " + on_mount("f"));
    kill_in_the_middle({"cp", local("endless"), on_mount("f"), "--copy-contents"}, signal);
    EXPECT_EQ(read_file(on_remote("f")), "old\n");
    EXPECT_EQ(staging_files(), 1);  // for the next cp
    discard_checkpoints();
    EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "old\n"; }));
  }
}

// mv, killed after it has unlinked the target and before it has created it.
TEST_F(Interrupt, KilledMvThatHasOnlyUnlinkedLeavesTheOldFile) {
  for (const bool reaped : {false, true}) {
    if (reaped && !kernel_tells_how_programs_ended()) {
      continue;
    }
    must("echo old > " + on_mount("f"));
    const UniqueFd held = open_on_mount("f", O_RDONLY);
    int unlinked[2];
    ASSERT_EQ(::pipe(unlinked), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NAME, "mv");
      const char done = ::unlink(on_mount("f").c_str()) == 0 ? 'y' : 'n';
      static_cast<void>(::write(unlinked[1], &done, 1));
      ::pause();
    }
    char done = 0;
    EXPECT_EQ(::read(unlinked[0], &done, 1), 1);
    EXPECT_EQ(done, 'y');
    ::close(unlinked[0]);
    ::close(unlinked[1]);
    EXPECT_NE(::access(on_mount("f").c_str(), F_OK), 0);
    ::kill(pid, SIGKILL);
    if (reaped) {
      ::waitpid(pid, nullptr, 0);
    }
    EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "old\n"; }));
    EXPECT_EQ(read_file(on_remote("f")), "old\n");
    EXPECT_TRUE(wait_until([&] {
      struct stat st {};
      return ::fstat(held.get(), &st) == 0 && st.st_nlink == 1;
    }));
    if (!reaped) {
      ::waitpid(pid, nullptr, 0);
    }
    must("rm " + on_mount("f"));
  }
}

// The shell has dd's descriptor too, and ends in its own time.
TEST_F(Interrupt, KilledCopyIsNotCommittedByItsParent) {
  must("echo old > " + on_mount("f"));
  const pid_t feeder = spawn({"/bin/sh", "-c", "exec yes > " + local("endless")});
  write_file(local("script"), "dd bs=1M 2>/dev/null if=" + local("endless") + "\ntrue\n");
  const pid_t parent =
      spawn({"/bin/sh", "-c", "exec sh " + local("script") + " > " + on_mount("f")});
  EXPECT_TRUE(wait_until([this] { return staged_bytes() > (4U << 20U); }));
  for (const pid_t child : descendants(parent)) {
    ::kill(child, SIGKILL);
  }
  int status = 0;
  ::waitpid(parent, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  ::kill(feeder, SIGKILL);
  ::waitpid(feeder, &status, 0);
  EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "old\n"; }));
  EXPECT_EQ(read_file(on_remote("f")), "old\n");
  discard_checkpoints();
}

// scp ends that way on a signal.
TEST_F(Interrupt, CopyThatExitsWithAFailureIsNotCommitted) {
  must("echo old > " + on_mount("f"));
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_NAME, "scp");
    const int fd = ::open(on_mount("f").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    ::_exit(::write(fd, "half", 4) == 4 ? 1 : 2);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "old\n"; }));
  EXPECT_EQ(read_file(on_remote("f")), "old\n");
  discard_checkpoints();
}

// What its output is redirected to is not its copy.
TEST_F(Interrupt, OutputOfACopyThatFailsIsKept) {
  EXPECT_EQ(
      shell("rsync -v /nonexistent " + local("nowhere") + " >& " + on_mount("log")).exit_status,
      23);
  EXPECT_NE(read_file(on_remote("log")).find("nonexistent"), std::string::npos);
}

TEST_F(Interrupt, KilledCopyMakesNoNewName) {
  kill_in_the_middle({"dd", "if=" + local("endless"), "of=" + on_mount("new"), "bs=1M"}, SIGKILL);
  EXPECT_EQ(staging_files(), 1);
  EXPECT_EQ(remote_names().size(), 1U);
  discard_checkpoints();
  EXPECT_TRUE(wait_until([this] { return ::access(on_mount("new").c_str(), F_OK) != 0; }));
}

TEST_F(Interrupt, AnyOtherProgramLeavesWhatItWrote) {
  const pid_t pid = spawn({"/bin/sh", "-c", "exec yes > " + on_mount("y")});
  EXPECT_TRUE(wait_until([this] { return staged_bytes() > (4U << 20U); }));
  ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  // The dying program does not wait for the commit.
  EXPECT_TRUE(wait_until([this] { return ::access(on_remote("y").c_str(), F_OK) == 0; }));
  const std::string content = read_file(on_remote("y"));
  ASSERT_GT(content.size(), 4U << 20U);
  for (size_t i = 0; i < content.size(); ++i) {
    ASSERT_EQ(content[i], i % 2 == 0 ? 'y' : '\n') << "at " << i;
  }
}

TEST_F(Interrupt, RedirectionKeepsTheOldFileUntilTheEnd) {
  must("echo old > " + on_mount("f"));
  ASSERT_EQ(::mkfifo(local("gate").c_str(), 0600), 0);
  // The shell opens, duplicates and closes; then a child of it lives and dies before any output.
  const pid_t pid =
      spawn({"/bin/bash", "-c", "{ /bin/true; cat " + local("gate") + "; } > " + on_mount("f")});
  {
    const int gate = ::open(local("gate").c_str(), O_WRONLY);  // returns when cat has started
    EXPECT_EQ(read_file(on_remote("f")), "old\n");
    EXPECT_EQ(::write(gate, "new\n", 4), 4);
    ::close(gate);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(read_file(on_remote("f")), "new\n");
}

}  // namespace
}  // namespace cpaway::testing
