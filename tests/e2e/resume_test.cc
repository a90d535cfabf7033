// Uploads that were cut, by the death of each of those who take part, and go on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

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
  // A cp that has got half of the file from a fifo, and waits for more.
  void start_half() {
    must("rm -f " + local("fifo") + " " + local("go") + " && mkfifo " + local("fifo") + " " +
         local("go"));
    feeder_ =
        spawn({"bash", "-c",
               "exec 3<> " + local("fifo") + "; head -c 33554432 " + file_ + " >&3; read -r _ < " +
                   local("go") + "; tail -c +33554433 " + file_ + " >&3"});
    cp_ = spawn({"cp", "--copy-contents", local("fifo"), on_mount("f")});
  }
  // The same, when the agent has most of that.
  void start_staged_half() {
    start_half();
    EXPECT_TRUE(wait_until([this] { return staged_bytes() >= 30 * kMiB; }));
  }
  // Lets the feeder give the rest; cp's exit status.
  int finish() {
    write_file(local("go"), "\n");
    return wait_for_cp();
  }
  int wait_for_cp() {
    int status = 0;
    ::waitpid(cp_, &status, 0);
    cp_ = -1;
    if (feeder_ > 0) {
      ::kill(-feeder_, SIGKILL);
      ::waitpid(feeder_, nullptr, 0);
      feeder_ = -1;
    }
    return status;
  }
  void kill_agents() {
    for (const pid_t pid : sshd().agents()) {
      ::kill(pid, SIGKILL);
    }
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
  start_staged_half();
  ::kill(cp_, SIGKILL);
  wait_for_cp();
  EXPECT_EQ(read_file(on_remote("f")), "old");
  EXPECT_EQ(staging_files(), 1);
  expect_resumed();
}

TEST_F(Resume, AfterTheDeathOfTheMount) {
  start_staged_half();
  kill_mount();
  EXPECT_NE(finish(), 0);
  mount();
  expect_resumed();
}

TEST_F(Resume, WithoutTheStore) {
  start_staged_half();
  kill_mount();
  EXPECT_NE(finish(), 0);
  must("rm -r " + local("state") + "/*/store");
  mount();
  expect_resumed();
}

// The same cp goes on: nothing of it is lost, though it cannot send the first half again.
TEST_F(Resume, AfterTheDeathOfTheConnection) {
  start_staged_half();
  sshd().kill_sessions();
  EXPECT_EQ(finish(), 0);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
}

TEST_F(Resume, AfterTheDeathOfTheAgent) {
  start_staged_half();
  kill_agents();
  EXPECT_EQ(finish(), 0);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
}

TEST_F(Resume, IdenticalFileSurvivesTheDeathOfTheAgent) {
  must("cp " + file_ + " " + on_mount("f"));
  start_half();
  EXPECT_TRUE(wait_until([this] {
    const Transfer transfer = last_transfer(mountpoint(), local("state"));
    return transfer.state == "writing" && transfer.bytes_matched >= 30 * kMiB;
  }));
  kill_agents();
  EXPECT_EQ(finish(), 0);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file_));
}

TEST_F(Resume, OpenFilesGoOnAfterALostConnection) {
  must("cp " + file_ + " " + on_mount("f") + " && mkdir " + on_mount("d"));
  std::ifstream reader(on_mount("f"), std::ios::binary);
  std::string head(100, '\0');
  reader.read(head.data(), 100);
  std::fstream writer(on_mount("f"), std::ios::binary | std::ios::in | std::ios::out);
  writer << "edit";
  writer.flush();
  kill_agents();
  std::string rest(64 * kMiB - 100, '\0');
  reader.read(rest.data(), static_cast<std::streamsize>(rest.size()));
  EXPECT_EQ(reader.gcount(), static_cast<std::streamsize>(rest.size()));
  writer.seekp(1000);
  writer << "more";
  writer.close();
  EXPECT_TRUE(writer);
  EXPECT_EQ(read_file(on_remote("f")).substr(0, 4), "edit");
  EXPECT_EQ(read_file(on_remote("f")).substr(1000, 4), "more");
  must("rmdir " + on_mount("d"));
}

}  // namespace
}  // namespace cpaway::testing
