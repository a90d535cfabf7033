// O_APPEND: no record of anybody's is lost, be it another program's on the mount, another mount's,
// or one of the remote host.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <sstream>
#include <thread>

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

// The log is not there yet, and each of the hosts thinks that it makes it.
TEST_F(Append, ThoseWhoCreateTheFileAtOnceLoseNothing) {
  for (int i = 0; i < 20; ++i) {
    const std::string name = "new" + std::to_string(i);
    std::vector<UniqueFd> fds;
    for (const std::string& path : {on_mount(name), on_second(name)}) {
      fds.emplace_back(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
      ASSERT_TRUE(fds.back()) << path;
      ASSERT_EQ(::write(fds.back().get(), "record\n", 7), 7);
    }
    std::thread closes([&] { fds[0].reset(); });
    fds[1].reset();
    closes.join();
    EXPECT_EQ(read_file(on_remote(name)), "record\nrecord\n");
  }
}

// It has looked for the file a moment ago, and another host has made it since.
TEST_F(Append, WhoKnowsOfNoFileReplacesNone) {
  const auto make_elsewhere = [this](const std::string& name) {
    struct stat st {};
    EXPECT_NE(::stat(on_mount(name).c_str(), &st), 0);
    write_remote(name, "theirs\n");
  };
  make_elsewhere("appended");
  must("echo ours >> " + on_mount("appended"));
  EXPECT_EQ(read_file(on_remote("appended")), "theirs\nours\n");
  EXPECT_EQ(read_file(on_mount("appended")), "theirs\nours\n");
  make_elsewhere("touched");
  must("touch " + on_mount("touched"));
  EXPECT_EQ(read_file(on_mount("touched")), "theirs\n");
  make_elsewhere("written");
  must("dd if=/dev/zero of=" + on_mount("written") + " bs=1 count=1 conv=notrunc status=none");
  EXPECT_EQ(read_file(on_remote("written")), std::string("\0heirs\n", 7));
  make_elsewhere("cut");
  {
    const UniqueFd fd = open_on_mount("cut", O_WRONLY | O_CREAT);
    put(fd, "ours");
    EXPECT_EQ(::ftruncate(fd.get(), 4), 0);  // as scp does
  }
  EXPECT_EQ(read_file(on_remote("cut")), "ours");
  make_elsewhere("emptied");
  must(": > " + on_mount("emptied"));
  EXPECT_EQ(read_file(on_remote("emptied")), "");
  make_elsewhere("replaced");
  must("echo ours > " + on_mount("replaced"));
  EXPECT_EQ(read_file(on_remote("replaced")), "ours\n");
}

}  // namespace
}  // namespace cpaway::testing
