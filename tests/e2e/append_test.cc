// O_APPEND: no record of anybody's is lost, be it another program's on the mount, another mount's,
// or one of the remote host.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <sstream>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr int kRecords = 200;

class Append : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (IsSkipped()) {
      return;
    }
    mount();
    mount_second();
    write_remote("log", "");
  }

  // Writes records one by one, as a program that keeps its log open.
  static pid_t start_writer(const std::string& path, const std::string& name) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
      bool good = static_cast<bool>(fd);
      for (int i = 0; good && i < kRecords; ++i) {
        const std::string record = name + " " + std::to_string(i) + "\n";
        good =
            ::write(fd.get(), record.data(), record.size()) == static_cast<ssize_t>(record.size());
      }
      ::_exit(good && ::fsync(fd.get()) == 0 ? 0 : 1);
    }
    return pid;
  }
  // Each writer's records are there, all of them, in their order.
  void expect_all(const std::vector<std::string>& names) const {
    std::istringstream lines(read_file(on_remote("log")));
    std::map<std::string, int> next;
    for (std::string line; std::getline(lines, line);) {
      const std::string name = line.substr(0, line.find(' '));
      EXPECT_EQ(line, name + " " + std::to_string(next[name]++));
    }
    for (const std::string& name : names) {
      EXPECT_EQ(next[name], kRecords) << name;
    }
  }
};

TEST_F(Append, ManyWritersLoseNothing) {
  const std::vector<std::pair<std::string, std::string>> writers = {{on_mount("log"), "a"},
                                                                    {on_mount("log"), "b"},
                                                                    {on_second("log"), "c"},
                                                                    {on_remote("log"), "d"}};
  std::vector<pid_t> pids;
  std::vector<std::string> names;
  for (const auto& [path, name] : writers) {
    pids.push_back(start_writer(path, name));
    names.push_back(name);
  }
  for (const pid_t pid : pids) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  expect_all(names);
  // What the kernel here has cached is what is there.
  EXPECT_TRUE(
      wait_until([this] { return read_file(on_mount("log")) == read_file(on_remote("log")); }));
}

TEST_F(Append, GoesBehindWhatTheRemoteHostWrote) {
  const UniqueFd fd(::open(on_mount("log").c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  ASSERT_EQ(::write(fd.get(), "one ", 4), 4);
  ASSERT_EQ(::fsync(fd.get()), 0);
  must("printf 'two ' >> " + on_remote("log"));
  ASSERT_EQ(::write(fd.get(), "three", 5), 5);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(read_file(on_remote("log")), "one two three");
  EXPECT_TRUE(wait_until([this] { return read_file(on_mount("log")) == "one two three"; }));
}

// Nobody knows of a record whose answer was lost; it is there once all the same.
TEST_F(Append, LostConnectionsRepeatNothing) {
  const pid_t writer = start_writer(on_mount("log"), "a");
  for (int i = 0; i < 5; ++i) {
    const auto size = static_cast<size_t>(i) * 100;
    EXPECT_TRUE(wait_until([&] { return read_file(on_remote("log")).size() > size; }));
    sshd().kill_sessions();
  }
  int status = 0;
  EXPECT_EQ(::waitpid(writer, &status, 0), writer);
  EXPECT_EQ(status, 0);
  expect_all({"a"});
}

}  // namespace
}  // namespace cpaway::testing
