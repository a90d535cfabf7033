#include "tests/e2e/mounted_remote.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>

#include "engine/hash/digest.h"
#include "tests/support/net_namespace.h"

namespace cpaway::testing {

void MountedRemote::SetUp() {
  if (!TestSshd::available()) {
    GTEST_SKIP() << "needs root and sshd";
  }
  sshd_ = std::make_unique<TestSshd>(sshd_options_);
  remote_ = sshd_->file("remote");
  mnt_ = local("mnt");
  ASSERT_EQ(::mkdir(remote_.c_str(), 0755), 0);
  ASSERT_EQ(::chown(remote_.c_str(), sshd_->user().uid, sshd_->user().gid), 0);
  ASSERT_EQ(::mkdir(mnt_.c_str(), 0755), 0);
}

void MountedRemote::set_networks(const std::string& near, const std::string& far,
                                 const std::string& address) {
  network_ = near;
  sshd_options_.network = far;
  sshd_options_.address = address;
}

void MountedRemote::TearDown() {
  if (!sshd_) {
    return;
  }
  for (const std::string& path : {second_, mnt_}) {
    if (is_mounted(path)) {
      EXPECT_EQ(run_command({std::string(CPAWAY_BIN) + "/cpaway", "umount", path}).exit_status, 0);
    }
    EXPECT_FALSE(is_mounted(path));
  }
  EXPECT_TRUE(wait_until([this] { return sshd_->session_count() == 0; })) << "a session is left";
  EXPECT_EQ(staging_files(), 0);
  const std::string pattern = local("");
  EXPECT_TRUE(wait_until([&] {
    return run_command({"pgrep", "-f", pattern}).exit_status != 0;
  })) << run_command({"pgrep", "-af", pattern}).out;
}

std::string MountedRemote::source() const {
  return sshd_->user().name + "@" + sshd_->login().host + ":" + remote_;
}

std::string MountedRemote::login_options() const {
  const transport::LoginOptions login = sshd_->login();
  std::string options = "port=" + std::to_string(sshd_->port());
  for (const std::string& identity : login.identity_files) {
    options += ",IdentityFile=" + identity;
  }
  return options + ",UserKnownHostsFile=" + login.known_hosts_file;
}

Finished MountedRemote::try_mount(const std::string& options, std::string source,
                                  std::string mountpoint) {
  std::string words = login_options() + ",state_dir=" + local("state") + ",log=" + local("log");
  if (!options.empty()) {
    words += "," + options;  // the last word for an option counts
  }
  const NetNamespaceScope scope(network_);
  return run_command({std::string(CPAWAY_BIN) + "/cpaway", "mount",
                      source.empty() ? this->source() : source,
                      mountpoint.empty() ? mnt_ : mountpoint, "-F", "none", "-o", words});
}

void MountedRemote::mount(const std::string& options) {
  const Finished finished = try_mount(options);
  ASSERT_EQ(finished.exit_status, 0) << finished.err << log();
  ASSERT_EQ(finished.err, "");
  ASSERT_TRUE(mounted());
}

void MountedRemote::mount_with_fault(const std::string& fault) {
  const std::string script = sshd_->file("faulty-agent");
  write_file(script, "#!/bin/sh\nCPAWAY_FAULT=" + fault + " exec " + CPAWAY_BIN + "/cpaway-agent\n",
             0755);
  mount("agent=" + script);
}

void MountedRemote::unmount() {
  const Finished finished = run_command({std::string(CPAWAY_BIN) + "/cpaway", "umount", mnt_});
  EXPECT_EQ(finished.exit_status, 0) << finished.err << log();
}

void MountedRemote::mount_second(const std::string& options) {
  if (second_.empty()) {
    second_ = local("second");
    ASSERT_EQ(::mkdir(second_.c_str(), 0755), 0);
  }
  const Finished finished =
      try_mount("state_dir=" + local("state2") + ",log=" + local("log2") + options, "", second_);
  ASSERT_EQ(finished.exit_status, 0) << finished.err;
}

void MountedRemote::kill_mount() {
  const Finished status = run_command({std::string(CPAWAY_BIN) + "/cpaway", "status", "--json",
                                       "--state-dir", local("state"), mnt_});
  const size_t at = status.out.find("\"pid\":");
  ASSERT_NE(at, std::string::npos) << status.out;
  ASSERT_EQ(::kill(std::stoi(status.out.substr(at + 6)), SIGKILL), 0);
  EXPECT_TRUE(wait_until([this] { return sshd_->session_count() == 0; }));
}

void MountedRemote::discard_checkpoints() {
  must("find " + remote_ + " -name '.cpaway-*.part' -delete");
}

bool MountedRemote::is_mounted(const std::string& path) {
  return read_file("/proc/mounts").find(" " + path + " fuse.cpaway ") != std::string::npos;
}

UniqueFd MountedRemote::open_on_mount(const std::string& name, int flags, mode_t mode) const {
  UniqueFd fd(::open(on_mount(name).c_str(), flags | O_CLOEXEC, mode));
  EXPECT_TRUE(fd) << name << ": " << errno;
  return fd;
}

void MountedRemote::put(const UniqueFd& fd, std::string_view text) {
  EXPECT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

void MountedRemote::write_remote(const std::string& name, std::string_view content) const {
  write_file(on_remote(name), content);
  ASSERT_EQ(::chown(on_remote(name).c_str(), sshd_->user().uid, sshd_->user().gid), 0);
}

std::vector<std::string> MountedRemote::remote_names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(remote_)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

int MountedRemote::staging_files() const {
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(remote_)) {
    count += entry.path().filename().string().starts_with(".cpaway-") ? 1 : 0;
  }
  return count;
}

uint64_t MountedRemote::staged_bytes() const {
  uint64_t bytes = 0;
  for (const std::string& name : remote_names()) {
    struct stat st {};
    if (name.starts_with(".cpaway-") && ::stat(on_remote(name).c_str(), &st) == 0) {
      bytes += static_cast<uint64_t>(st.st_size);
    }
  }
  return bytes;
}

bool MountedRemote::wait_until_it_waits(const std::string& thread) {
  return wait_until([&] {
    return read_file("/proc/" + thread + "/wchan").find("request_wait_answer") != std::string::npos;
  });
}

pid_t MountedRemote::spawn(const std::vector<std::string>& argv) {
  std::vector<char*> words;
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);            // what it starts is ended with it
    ::signal(SIGINT, SIG_DFL);  // which a shell may have ignored for what it runs behind
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  return pid;
}

std::string MountedRemote::sha256_on_mount(const std::string& name) const {
  std::array<char, 128> value{};
  const ssize_t size =
      ::getxattr(on_mount(name).c_str(), "user.cpaway.sha256", value.data(), value.size());
  return size < 0 ? "" : std::string(value.data(), static_cast<size_t>(size));
}

std::string MountedRemote::make_file(const std::string& name, size_t size) {
  std::mt19937_64 random(size);
  std::vector<uint64_t> words(size / 8 + 1);
  for (uint64_t& word : words) {
    word = random();
  }
  std::ofstream(local(name), std::ios::binary)
      .write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(size));
  return local(name);
}

void MountedRemote::must(const std::string& command) {
  const Finished finished = shell(command);
  ASSERT_EQ(finished.exit_status, 0) << command << ": " << finished.out << finished.err;
  ASSERT_EQ(finished.err, "") << command;
}

std::string sha256_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  hash::Sha256 digest;
  std::vector<char> buffer(1 << 20);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    digest.update(as_bytes({buffer.data(), static_cast<size_t>(in.gcount())}));
  }
  return hash::to_hex(digest.value());
}

}  // namespace cpaway::testing
