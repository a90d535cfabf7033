// Inode flags: what chattr(1) and lsattr(1) do on the mount, and what the remote file's forbid.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

int get_flags(const std::string& path) {
  int flags = 0;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return ::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0 ? flags : -errno;
}

int set_flags(const std::string& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return ::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) == 0 ? 0 : errno;
}

class Flags : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (IsSkipped()) {
      return;
    }
    write_remote("f", "content");
    make_directory("d");
    if (get_flags(on_remote("f")) < 0) {
      GTEST_SKIP() << "no inode flags on this filesystem";
    }
    mount();
  }
  void TearDown() override {
    for (const char* name : {"f", "d"}) {
      if (get_flags(on_remote(name)) >= 0) {
        forbid(name, 0);
      }
    }
    MountedRemote::TearDown();
  }
  void make_directory(const std::string& name) {
    struct stat top {};
    ASSERT_EQ(::stat(on_remote(".").c_str(), &top), 0);
    ASSERT_EQ(::mkdir(on_remote(name).c_str(), 0755), 0);
    ASSERT_EQ(::chown(on_remote(name).c_str(), top.st_uid, top.st_gid), 0);
  }
  // FS_IMMUTABLE_FL, FS_APPEND_FL or 0, before the mount has seen the file.
  void forbid(const std::string& name, int what) {
    const int kept = get_flags(on_remote(name)) & ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    ASSERT_EQ(set_flags(on_remote(name), kept | what), 0);
  }
  int open_errno(const std::string& name, int flags) {
    const UniqueFd fd(::open(on_mount(name).c_str(), flags | O_CLOEXEC, 0644));
    return fd ? 0 : errno;
  }
  static int errno_after(int result) { return result == 0 ? 0 : errno; }
};

TEST_F(Flags, AreTheRemoteFiles) {
  for (const char* name : {"f", "d"}) {
    const int flags = get_flags(on_remote(name));
    EXPECT_EQ(get_flags(on_mount(name)), flags);
    EXPECT_EQ(set_flags(on_mount(name), flags | FS_NODUMP_FL), 0);
    EXPECT_EQ(get_flags(on_remote(name)), flags | FS_NODUMP_FL);
    EXPECT_EQ(get_flags(on_mount(name)), flags | FS_NODUMP_FL);
  }
  // The login user is not root.
  EXPECT_EQ(set_flags(on_mount("f"), get_flags(on_mount("f")) | FS_IMMUTABLE_FL), EPERM);
  const Finished lsattr = run_command({"lsattr", on_mount("f")});
  EXPECT_EQ(lsattr.exit_status, 0) << lsattr.err;
  EXPECT_NE(lsattr.out.find('d'), std::string::npos) << lsattr.out;
}

TEST_F(Flags, WhatIsBeingWrittenHasNoneYet) {
  const UniqueFd fd = open_on_mount("new", O_WRONLY | O_CREAT);
  int flags = -1;
  EXPECT_EQ(::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags), 0);
  EXPECT_EQ(flags, 0);
  flags = FS_NODUMP_FL;
  EXPECT_EQ(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
}

TEST_F(Flags, AnImmutableFileIsLeftAlone) {
  forbid("f", FS_IMMUTABLE_FL);
  EXPECT_EQ(open_errno("f", O_WRONLY), EPERM);
  EXPECT_EQ(open_errno("f", O_WRONLY | O_TRUNC), EPERM);
  EXPECT_EQ(open_errno("f", O_WRONLY | O_APPEND), EPERM);
  EXPECT_EQ(open_errno("f", O_RDONLY), 0);
  EXPECT_EQ(errno_after(::access(on_mount("f").c_str(), W_OK)), EPERM);
  EXPECT_EQ(errno_after(::chmod(on_mount("f").c_str(), 0600)), EPERM);
  EXPECT_EQ(errno_after(::unlink(on_mount("f").c_str())), EPERM);
  EXPECT_EQ(errno_after(::rename(on_mount("f").c_str(), on_mount("g").c_str())), EPERM);
  EXPECT_EQ(errno_after(::link(on_mount("f").c_str(), on_mount("g").c_str())), EPERM);
  // Also by programs whose unlinks are put off.
  const std::string other = make_file("other", 1000);
  EXPECT_NE(run_command({"mv", "-f", other, on_mount("f")}).exit_status, 0);
  EXPECT_NE(run_command({"install", other, on_mount("f")}).exit_status, 0);
  EXPECT_NE(run_command({"mv", on_mount("f"), local("moved")}).exit_status, 0);
  EXPECT_EQ(read_file(on_remote("f")), "content");
}

TEST_F(Flags, AnImmutableDirectoryKeepsItsNames) {
  write_remote("d/f", "content");
  forbid("d", FS_IMMUTABLE_FL);
  EXPECT_EQ(open_errno("d/new", O_WRONLY | O_CREAT), EPERM);
  EXPECT_EQ(errno_after(::mkdir(on_mount("d/new").c_str(), 0755)), EPERM);
  EXPECT_EQ(errno_after(::unlink(on_mount("d/f").c_str())), EPERM);
  EXPECT_EQ(open_errno("d/f", O_WRONLY | O_TRUNC), 0);  // in place
  EXPECT_EQ(read_file(on_remote("d/f")), "");
}

TEST_F(Flags, AnAppendOnlyFileGrows) {
  forbid("f", FS_APPEND_FL);
  EXPECT_EQ(open_errno("f", O_WRONLY), EPERM);
  EXPECT_EQ(open_errno("f", O_WRONLY | O_APPEND | O_TRUNC), EPERM);
  EXPECT_EQ(errno_after(::truncate(on_mount("f").c_str(), 0)), EPERM);
  EXPECT_EQ(errno_after(::unlink(on_mount("f").c_str())), EPERM);
  {
    const UniqueFd fd = open_on_mount("f", O_WRONLY | O_APPEND);
    put(fd, " and more");
    EXPECT_EQ(::fsync(fd.get()), 0);
  }
  EXPECT_EQ(read_file(on_remote("f")), "content and more");
}

TEST_F(Flags, AnAppendOnlyFileNeedNotBeReadable) {
  ASSERT_EQ(::chown(on_remote("f").c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(on_remote("f").c_str(), 0622), 0);
  forbid("f", FS_APPEND_FL);
  {
    const UniqueFd fd = open_on_mount("f", O_WRONLY | O_APPEND);
    put(fd, " and more");
    EXPECT_EQ(::fsync(fd.get()), 0);
  }
  EXPECT_EQ(read_file(on_remote("f")), "content and more");
}

// The kernel here does not know that the flag must stay.
TEST_F(Flags, AnAppendOnlyFileIsWrittenInNoOtherWay) {
  forbid("f", FS_APPEND_FL);
  const UniqueFd fd = open_on_mount("f", O_WRONLY | O_APPEND);
  ASSERT_EQ(::fcntl(fd.get(), F_SETFL, 0), 0);
  const bool failed = ::pwrite(fd.get(), "XX", 2, 0) < 0 || ::fsync(fd.get()) < 0;
  EXPECT_TRUE(failed);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(read_file(on_remote("f")), "content");
}

TEST_F(Flags, AnAppendOnlyDirectoryTakesNewNames) {
  forbid("d", FS_APPEND_FL);
  for (const int exclusive : {0, O_EXCL}) {
    const std::string name = exclusive == 0 ? "d/f" : "d/g";
    {
      const UniqueFd fd = open_on_mount(name, O_WRONLY | O_CREAT | exclusive);
      put(fd, "content");
    }
    EXPECT_EQ(read_file(on_remote(name)), "content");
    EXPECT_EQ(errno_after(::unlink(on_mount(name).c_str())), EPERM);
    {
      const UniqueFd fd = open_on_mount(name, O_WRONLY | O_TRUNC);
      put(fd, "other");
    }
    EXPECT_EQ(read_file(on_remote(name)), "other");
  }
  EXPECT_EQ(errno_after(::mkdir(on_mount("d/d").c_str(), 0755)), 0);
}

TEST_F(Flags, AnAppendOnlyDirectoryTakesWhatMayNotBeWritten) {
  forbid("d", FS_APPEND_FL);
  {
    const UniqueFd fd = open_on_mount("d/f", O_WRONLY | O_CREAT, 0444);
    put(fd, "content");
  }
  EXPECT_EQ(read_file(on_remote("d/f")), "content");
}

// The name is taken on the remote host while it is remembered here that nothing has it.
TEST_F(Flags, ANameThatWasTakenMeanwhileIsOpened) {
  forbid("d", FS_APPEND_FL);
  for (const char* name : {"d/f", "d/g"}) {
    ASSERT_EQ(errno_after(::access(on_mount(name).c_str(), F_OK)), ENOENT);
    write_remote(name, "a long old content");
  }
  {
    const UniqueFd fd = open_on_mount("d/f", O_WRONLY | O_CREAT | O_TRUNC);
    put(fd, "new");
  }
  EXPECT_EQ(read_file(on_remote("d/f")), "new");
  EXPECT_EQ(open_errno("d/g", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(read_file(on_remote("d/g")), "a long old content");
}

}  // namespace
}  // namespace cpaway::testing
