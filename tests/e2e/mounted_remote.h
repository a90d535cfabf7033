// A private sshd, a directory on it, and a mount of that directory by the real program.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/fd.h"
#include "tests/support/run_command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_sshd.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {

// Skips where no sshd may be run. At the end of each test: unmounted, and nothing left over: no
// mount, no process on either side, no staging file.
class MountedRemote : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // The two ends of the link between them, for those that call it before SetUp(): paths of network
  // namespaces, and the address of the remote host. Without it, all is on loopback.
  void set_networks(const std::string& near, const std::string& far, const std::string& address);

  // `cpaway mount` of the remote directory, with further -o options; must succeed.
  void mount(const std::string& options = "");
  // The same with an agent in which CPAWAY_FAULT is set.
  void mount_with_fault(const std::string& fault);
  void unmount();
  // A second mount of the same directory, with a state directory of its own.
  void mount_second(const std::string& options = "");
  // SIGKILL, and the end of its connection; mount() recovers the mountpoint.
  void kill_mount();
  // Removes what cut uploads have left, which would fail the test.
  void discard_checkpoints();
  // As mount(), but only runs it. `source` and `mountpoint` "" for the usual ones.
  Finished try_mount(const std::string& options, std::string source = "",
                     std::string mountpoint = "");

  [[nodiscard]] TestSshd& sshd() { return *sshd_; }
  [[nodiscard]] bool mounted() const { return is_mounted(mnt_); }
  [[nodiscard]] static bool is_mounted(const std::string& path);
  [[nodiscard]] UniqueFd open_on_mount(const std::string& name, int flags,
                                       mode_t mode = 0644) const;
  static void put(const UniqueFd& fd, std::string_view text);
  // Paths: on the mount, on the second, on the remote host, and on this one.
  [[nodiscard]] std::string on_mount(const std::string& name) const { return mnt_ + "/" + name; }
  [[nodiscard]] std::string on_second(const std::string& name) const {
    return second_ + "/" + name;
  }
  [[nodiscard]] std::string on_remote(const std::string& name) const {
    return remote_ + "/" + name;
  }
  [[nodiscard]] std::string local(const std::string& name) const { return dir_.file(name); }
  [[nodiscard]] const std::string& mountpoint() const { return mnt_; }
  [[nodiscard]] const std::string& second_mountpoint() const { return second_; }
  // [user@]host:directory
  [[nodiscard]] std::string source() const;
  // A file of the login user's that did not come through the mount.
  void write_remote(const std::string& name, std::string_view content) const;
  // What the mount has logged so far.
  [[nodiscard]] std::string log() const { return read_file(local("log")); }
  [[nodiscard]] std::vector<std::string> remote_names() const;
  [[nodiscard]] int staging_files() const;
  // The sizes of the staging files in the mounted directory.
  [[nodiscard]] uint64_t staged_bytes() const;
  [[nodiscard]] std::string sha256_on_mount(const std::string& name) const;
  // Waits until a thread waits for an answer of the mount: "PID", or "self/task/TID".
  static bool wait_until_it_waits(const std::string& thread);
  // Starts a program in a process group of its own; the test ends it and waits for it.
  static pid_t spawn(const std::vector<std::string>& argv);
  // `size` bytes of noise in a local file; its path.
  std::string make_file(const std::string& name, size_t size);

  static Finished shell(const std::string& command) {
    return run_command({"/bin/bash", "-c", command});
  }
  // A command that must print nothing on standard error and end with 0.
  static void must(const std::string& command);

 private:
  [[nodiscard]] std::string login_options() const;

  TempDir dir_;
  TestSshd::Options sshd_options_;
  std::string network_;  // where the mount runs
  std::unique_ptr<TestSshd> sshd_;
  std::string remote_;
  std::string mnt_;
  std::string second_;  // "" until it is mounted
};

[[nodiscard]] std::string sha256_of_file(const std::string& path);

}  // namespace cpaway::testing
