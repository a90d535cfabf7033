// Remote directories that are not as one would wish: the true errno each time, and no hang.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

using ::testing::HasSubstr;

class OddRemote : public MountedRemote {
 protected:
  void TearDown() override {
    for (const std::string& path : mounts_) {
      EXPECT_EQ(::umount2(path.c_str(), MNT_DETACH), 0) << path;
    }
    MountedRemote::TearDown();
  }
  // The command fails, and says why in the words of strerror(3).
  void expect_refused(const std::string& command, const std::string& why) {
    const Finished refused = shell("cd " + mountpoint() + " && timeout 20 " + command);
    EXPECT_NE(refused.exit_status, 0) << command;
    EXPECT_THAT(refused.err, HasSubstr(why)) << command;
  }
  // A small filesystem of its own below the remote directory.
  void mount_tmpfs(const std::string& name, unsigned long flags = 0) {
    const std::string path = on_remote(name);
    std::filesystem::create_directory(path);
    ASSERT_EQ(::mount("none", path.c_str(), "tmpfs", 0, "size=16m,mode=777"), 0);
    mounts_.push_back(path);
    std::ofstream(path + "/f") << "content";
    const TestUser& user = sshd().user();
    ASSERT_EQ(::chown((path + "/f").c_str(), user.uid, user.gid), 0);
    if (flags != 0) {
      ASSERT_EQ(::mount("none", path.c_str(), nullptr, MS_REMOUNT | flags, nullptr), 0);
    }
  }

  std::vector<std::string> mounts_;
};

TEST_F(OddRemote, ReadOnly) {
  mount();
  mount_tmpfs("ro", MS_RDONLY);
  const std::string why = "Read-only file system";
  for (const char* command :
       {"cp /etc/passwd ro/x", "cp /etc/passwd ro/f", "rm ro/f", "mkdir ro/d", "touch ro/f",
        "chmod 600 ro/f", "ln ro/f ro/g", "ln -s x ro/s", "mv ro/f ro/g", "truncate -s 0 ro/f"}) {
    expect_refused(command, why);
  }
  must("grep -q content " + on_mount("ro/f"));
}

TEST_F(OddRemote, UserOwnsNothing) {
  const std::string own = on_remote("own");
  std::filesystem::create_directories(own + "/d");
  std::ofstream(own + "/f") << "content";
  must("chown -R root: " + own + " && chmod 755 " + own + " && chmod 644 " + own + "/f");
  mount();
  for (const char* command :
       {"cp /etc/passwd own/x", "cp /etc/passwd own/f", "rm own/f", "mkdir own/q", "rmdir own/d",
        "touch own/f", "mv own/f own/g", "ln -s x own/s", "truncate -s 0 own/f"}) {
    expect_refused(command, "Permission denied");
  }
  for (const char* command : {"chmod 600 own/f", "chown nobody own/f"}) {
    expect_refused(command, "Operation not permitted");
  }
  must("grep -q content " + on_mount("own/f"));
}

TEST_F(OddRemote, SmallFilesystemFull) {
  mount();
  mount_tmpfs("full");
  make_file("big", 24UL << 20U);
  expect_refused("cp " + local("big") + " full/big", "No space left on device");
  EXPECT_FALSE(std::filesystem::exists(on_remote("full/big")));
  expect_refused("cp " + local("big") + " full/f", "No space left on device");
  must("grep -q content " + on_remote("full/f"));
  discard_checkpoints();
}

TEST_F(OddRemote, CrossesMountPoints) {
  mount();
  mount_tmpfs("other");
  make_file("big", 3UL << 20U);
  must("cp " + local("big") + " " + on_mount("big"));
  must("mv " + on_mount("big") + " " + on_mount("other/big"));
  EXPECT_EQ(sha256_of_file(on_remote("other/big")), sha256_of_file(local("big")));
  expect_refused("ln f other/g", "");
}

TEST_F(OddRemote, MountedDirectoryIsReplaced) {
  mount();
  write_remote("before", "x");
  must("ls " + on_mount("before"));
  const std::string top = on_remote("");
  must("mv " + top + " " + local("aside") + " && rm -r " + local("aside"));
  const auto refused = [this] {
    return shell("ls " + mountpoint()).err.find("No such file or directory") != std::string::npos;
  };
  EXPECT_TRUE(wait_until(refused));
  expect_refused("cp /etc/passwd x", "No such file or directory");
  must("install -d -o " + sshd().user().name + " " + top);
  EXPECT_TRUE(wait_until([this] { return shell("ls " + mountpoint()).exit_status == 0; }));
  must("cp /etc/passwd " + on_mount("x") + " && cmp /etc/passwd " + on_remote("x"));
}

TEST_F(OddRemote, FileChangesUnderTheMount) {
  mount();
  write_remote("f", "one");
  must("grep -q one " + on_mount("f"));
  write_remote("f", "another");
  EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "another"; }));
  std::filesystem::remove(on_remote("f"));
  EXPECT_TRUE(wait_until([this] { return shell("cat " + on_mount("f")).exit_status != 0; }));
}

// As on a local filesystem the descriptor keeps the file that it has open, once the kernel asks
// again.
TEST_F(OddRemote, AFileThatIsRemovedOrReplacedThereStaysOpenHere) {
  mount();
  for (const bool is_replaced : {false, true}) {
    write_remote("f", "old");
    const UniqueFd fd = open_on_mount("f", O_RDONLY);
    char text[8] = {};
    ASSERT_EQ(::pread(fd.get(), text, 1, 0), 1);
    if (is_replaced) {
      write_remote("g", "another");
      ASSERT_EQ(::rename(on_remote("g").c_str(), on_remote("f").c_str()), 0);
    } else {
      ASSERT_EQ(::unlink(on_remote("f").c_str()), 0);
    }
    struct stat st {};
    ASSERT_TRUE(wait_until([&] { return ::fstat(fd.get(), &st) != 0 || st.st_nlink == 0; }));
    EXPECT_EQ(st.st_nlink, 0U);
    EXPECT_EQ(st.st_size, 3);
    EXPECT_EQ(::pread(fd.get(), text, sizeof text, 0), 3);
    EXPECT_EQ(std::string(text), "old");
    if (is_replaced) {
      EXPECT_TRUE(wait_until([&] { return read_file(on_mount("f")) == "another"; }));
    }
  }
}

// The kernel takes it for what it has seen a moment ago, and does not say that it may be created.
// Whoever has the old one open keeps it.
TEST_F(OddRemote, WhatIsRemovedThereIsCreatedHere) {
  mount();
  for (const bool is_open : {false, true}) {
    write_remote("f", "old");
    EXPECT_TRUE(wait_until([this] { return read_file(on_mount("f")) == "old"; }));
    UniqueFd fd = open_on_mount("f", O_RDWR | O_APPEND);
    put(fd, "er");
    if (!is_open) {
      fd.reset();
    }
    ASSERT_EQ(::unlink(on_remote("f").c_str()), 0);
    put(open_on_mount("f", O_WRONLY | O_CREAT | O_APPEND), "new");
    EXPECT_EQ(read_file(on_remote("f")), "new");
    if (is_open) {
      put(fd, "!");
      char text[8] = {};
      EXPECT_EQ(::pread(fd.get(), text, sizeof text, 0), 6);
      EXPECT_EQ(std::string(text), "older!");
    }
  }
}

TEST_F(OddRemote, WhatIsReplacedThereIsWrittenHere) {
  mount();
  write_remote("f", "old");
  const UniqueFd fd = open_on_mount("f", O_RDWR | O_APPEND);
  put(fd, "er");
  write_remote("g", "theirs");
  ASSERT_EQ(::rename(on_remote("g").c_str(), on_remote("f").c_str()), 0);
  put(open_on_mount("f", O_WRONLY | O_APPEND), ", ours");
  EXPECT_EQ(read_file(on_remote("f")), "theirs, ours");
  put(fd, "!");
  must("echo new > " + local("new") + "; cp " + local("new") + " " + on_mount("f"));
  EXPECT_EQ(read_file(on_remote("f")), "new\n");
}

// Not by close(2) alone, which shells do not look at where they redirect.
TEST_F(OddRemote, TheFirstWriteSaysThatTheFileHasGone) {
  mount();
  write_remote("f", "old");
  must("ls -l " + on_mount("f"));
  ASSERT_EQ(::unlink(on_remote("f").c_str()), 0);
  const UniqueFd fd(::open(on_mount("f").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  EXPECT_NE(::write(fd.get(), "new", 3), 3);
}

}  // namespace
}  // namespace cpaway::testing
