#include "engine/agent/file_access.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

using agent::Location;
using agent::Root;

class FileAccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir(dir.file("a").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(dir.file("a/b").c_str(), 0755), 0);
    ASSERT_EQ(::symlink("a", dir.file("link").c_str()), 0);
    ASSERT_EQ(::symlink("/", dir.file("a/out").c_str()), 0);
    write_file(dir.file("a/b/f"), "x");
  }
  Root open_root() { return std::move(Root::open("", dir.path()).value()); }

  const TempDir dir;
};

TEST_F(FileAccessTest, LocatesTheParent) {
  const Root root = open_root();
  EXPECT_EQ(root.absolute(), dir.path());
  const auto at = root.locate("a/b/f");
  ASSERT_TRUE(at);
  EXPECT_EQ(at->name, "f");
  EXPECT_EQ(at->at_flags(), AT_SYMLINK_NOFOLLOW);
  EXPECT_EQ(::faccessat(at->dir, "f", R_OK, 0), 0);
  const auto self = root.locate("");
  ASSERT_TRUE(self);
  EXPECT_TRUE(self->is_descriptor());
  EXPECT_EQ(self->at_flags(), AT_EMPTY_PATH);
  EXPECT_EQ(errno_of(root.locate_name("", EBUSY)), EBUSY);
}

TEST_F(FileAccessTest, RefusesWhatIsNoPath) {
  const Root root = open_root();
  for (const char* path : {"/etc", "..", "a/..", "a/../..", "a//b", "./a", "a/", "a/./b"}) {
    EXPECT_EQ(errno_of(root.locate(path)), EINVAL) << path;
  }
  EXPECT_EQ(errno_of(root.locate(std::string("a\0b", 3))), EINVAL);
  EXPECT_EQ(errno_of(root.locate(std::string(256, 'x'))), EINVAL);
}

// The same answers whether the kernel has openat2 or not.
TEST_F(FileAccessTest, FollowsNoSymbolicLink) {
  const Root root = open_root();
  const auto top = root.locate("");
  ASSERT_TRUE(top);
  for (const auto open : {agent::open_beneath, agent::walk_beneath}) {
    EXPECT_TRUE(open(top->dir, "a/b"));
    EXPECT_EQ(errno_of(open(top->dir, "missing")), ENOENT);
    EXPECT_EQ(errno_of(open(top->dir, "a/b/f")), ENOTDIR);
    EXPECT_FALSE(open(top->dir, "link/b"));
    EXPECT_FALSE(open(top->dir, "a/out/etc"));
    EXPECT_FALSE(open(top->dir, "a/out"));
  }
  EXPECT_EQ(errno_of(root.open_path("link", O_RDONLY)), ELOOP);
}

TEST_F(FileAccessTest, ReachesPathsOfTheLongestKind) {
  const Root root = open_root();
  std::string path;
  UniqueFd at(::open(dir.path().c_str(), O_PATH | O_DIRECTORY));
  for (int depth = 0; depth < 16; ++depth) {
    const std::string name(254, static_cast<char>('a' + depth));
    ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0755), 0);
    at.reset(::openat(at.get(), name.c_str(), O_PATH | O_DIRECTORY));
    path += name + "/";
  }
  path += std::string(4095 - path.size(), 'z');
  const auto location = root.locate(path);
  ASSERT_TRUE(location) << location.error().to_string();
  EXPECT_TRUE(agent::open_at(*location, O_CREAT | O_EXCL | O_WRONLY, 0644));
  EXPECT_EQ(errno_of(root.locate(path + "z")), EINVAL);
}

TEST_F(FileAccessTest, FindsTheDirectoryThatTookItsPlace) {
  const std::string path = dir.file("a/b");
  const Root root = std::move(Root::open(dir.path(), path).value());
  std::filesystem::remove_all(path);
  EXPECT_EQ(errno_of(root.locate("")), ENOENT);
  EXPECT_EQ(errno_of(root.locate("f")), ENOENT);
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  write_file(path + "/new", "x");
  const auto at = root.locate("new");
  ASSERT_TRUE(at);
  EXPECT_EQ(::faccessat(at->dir, "new", R_OK, 0), 0);
  // Not what lies outside by now.
  std::filesystem::remove_all(path);
  ASSERT_EQ(::symlink("/", path.c_str()), 0);
  EXPECT_EQ(errno_of(root.locate("")), EACCES);
}

TEST_F(FileAccessTest, ConfinedRootStaysInside) {
  const std::string& confine = dir.path();
  EXPECT_EQ(Root::open(confine, "")->absolute(), confine);
  EXPECT_EQ(Root::open(confine, "a/b")->absolute(), dir.file("a/b"));
  EXPECT_EQ(Root::open(confine, "link/b")->absolute(), dir.file("a/b"));
  EXPECT_EQ(Root::open(confine, dir.file("a/b"))->absolute(), dir.file("a/b"));
  EXPECT_EQ(Root::open(confine, confine)->absolute(), confine);
  EXPECT_EQ(errno_of(Root::open(confine, "/")), EACCES);
  EXPECT_EQ(errno_of(Root::open(confine, "..")), EACCES);
  EXPECT_EQ(errno_of(Root::open(confine, "a/../..")), EACCES);
  EXPECT_EQ(errno_of(Root::open(confine, "a/out")), EACCES);
  EXPECT_EQ(errno_of(Root::open(confine, dir.file("a/out"))), EACCES);
  EXPECT_EQ(errno_of(Root::open(dir.file("a/b"), dir.file("a"))), EACCES);
  EXPECT_EQ(errno_of(Root::open(dir.file("a"), confine + "/ab")), ENOENT);
  EXPECT_EQ(Root::open("/", "/")->absolute(), "/");
  EXPECT_EQ(Root::open("/", confine)->absolute(), confine);
  EXPECT_EQ(errno_of(Root::open("", std::string("a\0b", 3))), EINVAL);
}

}  // namespace
}  // namespace cpaway::testing
