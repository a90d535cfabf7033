// Staging files that no upload comes back for.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include "engine/wire/names.h"
#include "tests/engine/agent/upload_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

constexpr uint32_t kUser = 54321;
constexpr uint64_t kHour = 3600;

class CollectTest : public ::testing::Test {
 protected:
  // A staging file of 100 bytes.
  [[nodiscard]] std::string leave(const std::string& in = "") const {
    const std::string path = dir.file(in + wire::new_staging_name());
    write_file(path, std::string(100, 'x'), 0600);
    return path;
  }
  void make_dir(const std::string& name) const {
    ASSERT_EQ(::mkdir(dir.file(name).c_str(), 0755), 0);
  }
  static bool exists(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
  }
  void expect_collected(UploadClient& agent, uint64_t older_than, bool recursive, uint32_t removed,
                        uint32_t kept) const {
    const auto answer = agent.collect("", older_than, recursive);
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->removed, removed);
    EXPECT_EQ(answer->bytes, removed * 100U);
    EXPECT_EQ(answer->kept, kept);
  }

  const TempDir dir;
};

TEST_F(CollectTest, RemovesWhatIsOldEnough) {
  UploadClient agent(dir.path());
  expect_collected(agent, 0, true, 0, 0);
  const std::string first = leave();
  const std::string second = leave();
  const timespec long_ago[2] = {{1000, 0}, {1000, 0}};  // the last change was just now
  ASSERT_EQ(::utimensat(AT_FDCWD, first.c_str(), long_ago, 0), 0);
  expect_collected(agent, kHour, false, 0, 2);
  expect_collected(agent, UINT64_MAX, false, 0, 2);
  const timespec ahead[2] = {{0, UTIME_OMIT}, {::time(nullptr) + 1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, second.c_str(), ahead, 0), 0);
  expect_collected(agent, 0, false, 1, 1);
  EXPECT_FALSE(exists(first));
  EXPECT_TRUE(exists(second));
}

TEST_F(CollectTest, ADirectoryWithNothingButThatIsEmpty) {
  make_dir("d");
  make_dir("moved");
  make_dir("mixed");
  EXPECT_TRUE(exists(leave("d/")));
  EXPECT_TRUE(exists(leave("moved/")));
  const std::string part = leave("mixed/");
  write_file(dir.file("mixed/file"), "");
  UploadClient agent(dir.path());
  EXPECT_TRUE(agent.client().call(wire::RmDir{"d"}));
  EXPECT_EQ(errno_of(agent.client().call(wire::RmDir{"mixed"})), ENOTEMPTY);
  EXPECT_TRUE(exists(part));
  EXPECT_TRUE(agent.client().call(wire::Rename{"mixed", "moved", 0}));
  EXPECT_TRUE(exists(dir.file("moved/file")));
}

TEST_F(CollectTest, ADirectoryInWhichATransferWritesIsNotEmpty) {
  make_dir("d");
  UploadClient agent(dir.path());
  ASSERT_TRUE(agent.init("d/file"));
  ASSERT_TRUE(agent.block(0, Bytes(100)).value());
  EXPECT_EQ(errno_of(agent.client().call(wire::RmDir{"d"})), ENOTEMPTY);
}

TEST_F(CollectTest, LeavesWhatATransferHolds) {
  UploadClient uploading(dir.path());
  ASSERT_TRUE(uploading.init());
  ASSERT_TRUE(uploading.block(0, Bytes(100)).value());
  UploadClient agent(dir.path());
  expect_collected(agent, 0, false, 0, 1);
  ASSERT_TRUE(uploading.cancel(true));
  ASSERT_TRUE(uploading.init());  // taken over: held again
  expect_collected(agent, 0, false, 0, 1);
  uploading.finish();
  expect_collected(agent, 0, false, 1, 0);
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(CollectTest, EntersDirectoriesIfAsked) {
  make_dir("d");
  make_dir("d/e");
  make_dir(".hidden");
  const std::string top = leave();
  const std::string deep = leave("d/e/");
  const std::string hidden = leave(".hidden/");
  UploadClient agent(dir.path());
  expect_collected(agent, 0, false, 1, 0);
  EXPECT_FALSE(exists(top));
  EXPECT_TRUE(exists(deep));
  EXPECT_EQ(agent.collect("d/e", 0)->removed, 1U);
  EXPECT_FALSE(exists(deep));
  const std::string again = leave("d/e/");
  expect_collected(agent, 0, true, 2, 0);
  EXPECT_FALSE(exists(again) || exists(hidden));
}

TEST_F(CollectTest, RemovesOnlyWhatHasOurNames) {
  const std::vector<std::string> others = {
      ".cpaway-0123456789abcdef",       ".cpaway-0123456789abcde.part",
      ".cpaway-0123456789abcdef0.part", ".cpaway-0123456789ABCDEF.part",
      ".cpaway-0123456789abcdeg.part",  ".cpaway-0123456789abcdef.part~",
      "cpaway-0123456789abcdef.part",   "f"};
  for (const std::string& name : others) {
    write_file(dir.file(name), "text");
  }
  UploadClient agent(dir.path());
  expect_collected(agent, 0, true, 0, 0);
  EXPECT_EQ(names_in(dir.path()).size(), others.size());
}

TEST_F(CollectTest, LeavesWhatIsNoRegularFile) {
  write_file(dir.file("precious"), "text");
  make_dir("d");
  const std::string inside = leave("d/");
  ASSERT_EQ(::symlink("precious", dir.file(wire::new_staging_name()).c_str()), 0);
  ASSERT_EQ(::symlink("d", dir.file("link").c_str()), 0);
  ASSERT_EQ(::mkdir(dir.file(wire::new_staging_name()).c_str(), 0755), 0);
  ASSERT_EQ(::mkfifo(dir.file(wire::new_staging_name()).c_str(), 0600), 0);
  UploadClient agent(dir.path());
  expect_collected(agent, 0, false, 0, 3);
  EXPECT_EQ(read_file(dir.file("precious")), "text");
  EXPECT_TRUE(exists(inside));  // links are not followed
  expect_collected(agent, 0, true, 1, 3);
  EXPECT_EQ(errno_of(agent.collect("link", 0)), ENOTDIR);
}

TEST_F(CollectTest, GivesTheTrueErrno) {
  write_file(dir.file("f"), "text");
  UploadClient agent(dir.path());
  EXPECT_EQ(errno_of(agent.collect("missing", 0)), ENOENT);
  EXPECT_EQ(errno_of(agent.collect("f", 0)), ENOTDIR);
  EXPECT_EQ(errno_of(agent.collect("..", 0)), EINVAL);
}

TEST_F(CollectTest, LeavesAnotherUsersFilesButForRoot) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root, to be somebody else";
  }
  ASSERT_EQ(::chmod(dir.path().c_str(), 0777), 0);
  make_dir("closed");
  const std::string closed = leave("closed/");
  ASSERT_EQ(::chmod(dir.file("closed").c_str(), 0700), 0);
  const std::string others = leave();
  ASSERT_EQ(::chmod(others.c_str(), 0666), 0);
  const std::string mine = leave();
  ASSERT_EQ(::chown(mine.c_str(), kUser, kUser), 0);
  {
    UploadClient agent(dir.path(), {}, kUser);
    expect_collected(agent, 0, true, 1, 1);
  }
  EXPECT_FALSE(exists(mine));
  ASSERT_EQ(::chown(others.c_str(), kUser, kUser), 0);
  UploadClient root(dir.path());
  expect_collected(root, 0, true, 2, 0);
}

TEST_F(CollectTest, StaysOnItsFilesystem) {
  make_dir("d");
  if (::mount("none", dir.file("d").c_str(), "tmpfs", 0, nullptr) != 0) {
    GTEST_SKIP() << "may not mount";
  }
  const std::string inside = leave("d/");
  const std::string outside = leave();
  UploadClient agent(dir.path());
  expect_collected(agent, 0, true, 1, 0);
  EXPECT_FALSE(exists(outside));
  EXPECT_TRUE(exists(inside));
  EXPECT_EQ(agent.collect("d", 0)->removed, 1U);  // asked for by name
  agent.finish();
  EXPECT_EQ(::umount2(dir.file("d").c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace cpaway::testing
