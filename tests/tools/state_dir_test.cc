#include "tools/state_dir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::tools {
namespace {

namespace stdfs = std::filesystem;

transport::LoginOptions login(const std::string& user, const std::string& host, int port) {
  transport::LoginOptions options;
  options.user = user;
  options.host = host;
  options.port = port;
  return options;
}

TEST(StateName, IsReadableAndUnique) {
  const std::string name = state_name(login("u", "h", 22), "/a b/ü");
  EXPECT_THAT(name, ::testing::StartsWith("u@h:22:_a_b_"));
  EXPECT_EQ(name.find('/'), std::string::npos);
  EXPECT_NE(name, state_name(login("u", "h", 22), "/a_b/ü"));
  EXPECT_NE(state_name(login("u", "h", 0), "x"), state_name(login("", "h", 0), "x"));
  EXPECT_LT(state_name(login("u", "h", 0), std::string(4000, 'x')).size(), 200U);
}

TEST(StateBase, FollowsTheOptionThenTheEnvironment) {
  setenv("XDG_STATE_HOME", "/xdg", 1);
  EXPECT_EQ(state_base("/chosen"), "/chosen");
  EXPECT_EQ(state_base(""), "/xdg/cpaway");
  unsetenv("XDG_STATE_HOME");
}

TEST(StateDir, IsPrivateAndListedWhileHeld) {
  const cpaway::testing::TempDir top;
  const std::string base = top.path() + "/deep/er";
  {
    auto state = StateDir::acquire(base, "name", {"u@h:d", "/mnt", 42});
    ASSERT_TRUE(state) << state.error().to_string();
    struct stat info;
    ASSERT_EQ(stat((base + "/name").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0700U);
    const auto running = running_daemons(base);
    ASSERT_EQ(running.size(), 1U);
    EXPECT_EQ(running[0].record.source, "u@h:d");
    EXPECT_EQ(running[0].record.mountpoint, "/mnt");
    EXPECT_EQ(running[0].record.pid, 42);
  }
  EXPECT_TRUE(running_daemons(base).empty());  // the record is there still, the lock is not
  EXPECT_TRUE(running_daemons(base + "/none").empty());
}

TEST(StateDir, SecondMountOfTheSameTakesTheNextName) {
  const cpaway::testing::TempDir top;
  auto first = StateDir::acquire(top.path(), "name", {"s", "/proc", 1});  // something is mounted
  auto second = StateDir::acquire(top.path(), "name", {"s", "/2", 2});
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->path(), top.path() + "/name");
  EXPECT_EQ(second->path(), top.path() + "/name.2");
  EXPECT_EQ(running_daemons(top.path()).size(), 2U);
  first = fail(Errc::cancelled, "");
  auto third = StateDir::acquire(top.path(), "name", {"s", "/3", 3});
  ASSERT_TRUE(third);
  EXPECT_EQ(third->path(), top.path() + "/name");
}

// Whoever mounts again at once finds what the mount before remembers.
TEST(StateDir, WaitsForAHolderThatIsUnmountedAlready) {
  const cpaway::testing::TempDir top;
  const pid_t holder = fork();
  if (holder == 0) {
    const auto state =
        StateDir::acquire(top.path(), "name", {"s", top.path() + "/not/mounted", getpid()});
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // is busy with its end
    _exit(state ? 0 : 1);
  }
  ASSERT_TRUE(cpaway::testing::wait_until([&] { return !running_daemons(top.path()).empty(); }));
  const auto next = StateDir::acquire(top.path(), "name", {"s", "/2", getpid()});
  int status = -1;
  EXPECT_EQ(waitpid(holder, &status, 0), holder);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->path(), top.path() + "/name");
}

TEST(StateDir, LeavesNothingBehindButWhatOthersKeepThere) {
  const cpaway::testing::TempDir top;
  auto state = StateDir::acquire(top.path(), "name", {"s", "/1", 1});
  ASSERT_TRUE(state);
  state->clean();
  EXPECT_TRUE(stdfs::is_empty(top.path()));
  state = StateDir::acquire(top.path(), "name", {"s", "/1", 1});
  ASSERT_TRUE(state);
  stdfs::create_directory(top.path() + "/name/store");
  state->clean();
  EXPECT_TRUE(stdfs::exists(top.path() + "/name/store"));
}

TEST(StateDir, RefusesADirectoryOpenToOthers) {
  const cpaway::testing::TempDir top;
  stdfs::create_directory(top.path() + "/name");
  ASSERT_EQ(chmod((top.path() + "/name").c_str(), 0755), 0);
  const auto state = StateDir::acquire(top.path(), "name", {"s", "/1", 1});
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().context, ::testing::HasSubstr("0700"));
}

TEST(StateDir, NamesThePathThatCannotBeMade) {
  const auto state = StateDir::acquire("/proc/nowhere", "name", {"s", "/1", 1});
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().to_string(), ::testing::HasSubstr("/proc/nowhere/name"));
}

}  // namespace
}  // namespace cpaway::tools
