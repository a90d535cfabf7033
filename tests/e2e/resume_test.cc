// Uploads that were cut, by the death of each of those who take part, and go on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/transfer_report.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMiB = 1UL << 20U;

class Resume : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
      file_ = make_file("f", 64 * kMiB);
    }
  }
  void TearDown() override {
    if (cp_ > 0) {
      ::kill(cp_, SIGKILL);
      static_cast<void>(wait_for_cp());
    }
    MountedRemote::TearDown();
  }
  // A cp that stops in the middle: it reads what a fifo gives it.
  void start_cp() {
    must("rm -f " + local("fifo") + " && mkfifo " + local("fifo"));
    cp_ = ::fork();
    if (cp_ == 0) {
      ::execlp("cp", "cp", "--copy-contents", "-r", "/dev/stdin", on_mount("f").c_str(), nullptr);
      ::_exit(127);
    }
  }
  // Feeds half of the file to a cp, and waits until the agent has most of that.
  void start_half() {
    const std::string command = "exec 3<> " + local("fifo") + "; head -c 33554432 " + file_ +
                                " >&3; read -r _ < " + local("go") + "; tail -c +33554433 " + file_ +
                                " >&3";
    must("rm -f " + local("fifo") + " " + local("go") + " && mkfifo " + local("fifo") + " " +
         local("go"));
    feeder_ = ::fork();
    if (feeder_ == 0) {
      ::execlp("bash", "bash", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    cp_ = ::fork();
    if (cp_ == 0) {
      ::execlp("cp", "cp", "--copy-contents", local("fifo").c_str(), on_mount("f").c_str(),
               nullptr);
      ::_exit(127);
    }
    EXPECT_TRUE(wait_until([this] { return staged_bytes() >= 30 * kMiB; }));
  }
  // Lets the feeder give the rest; cp's exit status.
  int finish() {
    write_file(local("go"), "\n");
    int status = 0;
    ::waitpid(feeder_, &status, 0);
    return wait_for_cp();
  }
  int wait_for_cp() {
    int status = 0;
    ::waitpid(cp_, &status, 0);
    cp_ = -1;
    if (feeder_ > 0) {
      ::kill(feeder_, SIGKILL);
      ::waitpid(feeder_, nullptr, 0);
      feeder_ = -1;
    }
    return status;
  }
  size_t staged_bytes() const {
    size_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(on_remote(""))) {
      std::error_code gone;
      if (entry.path().filename().string().starts_with(".cpaway-")) {
        bytes += std::filesystem::file_size(entry.path(), gone);
      }
    }
    return bytes;
  }
  // The whole file again: most of the first half is not sent.
  void expect_resumed() {
    must("cp " + file_ + " " + on_mount("f"));
    const Transfer transfer = last_transfer(mountpoint(), local("state"));
    EXPECT_GE(transfer.bytes_resumed, 28 * kMiB);
    EXPECT_LE(transfer.bytes_sent, 37 * kMiB);
    EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
  }

  std::string file_;
  pid_t cp_ = -1;
  pid_t feeder_ = -1;
};

TEST_F(Resume, AfterTheDeathOfCp) {
  write_remote("f", "old");
  start_half();
  ::kill(cp_, SIGKILL);
  wait_for_cp();
  EXPECT_EQ(read_file(on_remote("f")), "old");
  EXPECT_EQ(staging_files(), 1);
  expect_resumed();
}

TEST_F(Resume, AfterTheDeathOfTheMount) {
  start_half();
  kill_mount();
  wait_for_cp();
  mount();
  expect_resumed();
}

TEST_F(Resume, WithoutTheStore) {
  start_half();
  kill_mount();
  wait_for_cp();
  must("rm -r " + local("state") + "/*/store");
  mount();
  expect_resumed();
}

// The same cp goes on: nothing of it is lost, though it cannot send the first half again.
TEST_F(Resume, AfterTheDeathOfTheConnection) {
  start_half();
  sshd().kill_sessions();
  EXPECT_EQ(finish(), 0);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
}

TEST_F(Resume, AfterTheDeathOfTheAgent) {
  start_half();
  kill_agent();
  EXPECT_EQ(finish(), 0);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
}

TEST_F(Resume, IdenticalFileSurvivesTheDeathOfTheAgent) {
  must("cp " + file_ + " " + on_mount("f"));
  must("rm -f " + local("fifo") + " " + local("go") + " && mkfifo " + local("fifo") + " " +
       local("go"));
  feeder_ = ::fork();
  if (feeder_ == 0) {
    const std::string command = "exec 3<> " + local("fifo") + "; head -c 33554432 " + file_ +
                                " >&3; read -r _ < " + local("go") + "; tail -c +33554433 " + file_ +
                                " >&3";
    ::execlp("bash", "bash", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  cp_ = ::fork();
  if (cp_ == 0) {
    ::execlp("cp", "cp", "--copy-contents", local("fifo").c_str(), on_mount("f").c_str(), nullptr);
    ::_exit(127);
  }
  EXPECT_TRUE(wait_until([this] {
    return last_transfer(mountpoint(), local("state")).bytes_matched >= 30 * kMiB;
  }));
  kill_agent();
  EXPECT_EQ(finish(), 0);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
}

TEST_F(Resume, OpenFilesGoOnAfterALostConnection) {
  must("cp " + file_ + " " + on_mount("f"));
  must("exec 3< " + on_mount("f") + " 4<> " + on_mount("f") + "; head -c 100 <&3 >/dev/null; kill -9 " +
       std::to_string(agent_pid()) + "; printf edit >&4; tail -c 1000 " + on_mount("f") +
       " > " + local("tail") + "; cat <&3 > /dev/null");
  EXPECT_EQ(read_file(on_remote("f")).substr(0, 4), "edit");
}

}  // namespace
}  // namespace cpaway::testing
