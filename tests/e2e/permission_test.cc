// Owners, modes, ACLs and extended attributes: of what is still being written, too, whose errors
// must be told by the call that has them and not at close.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr unsigned kUser = 65534;

class Permission : public MountedRemote {
 protected:
  // The agent is root: it runs here, behind what takes ssh's arguments.
  void mount_as_root(const std::string& options = "") {
    const std::string script = local("here");
    write_file(
        script,
        "#!/bin/sh\nfor last; do :; done\nHOME=" + local("home") + " exec /bin/sh -c \"$last\"\n",
        0755);
    must("mkdir " + local("home"));
    mount("allow_other,default_permissions,ssh_command=" + script + options);
    ASSERT_EQ(::chmod(on_remote("").c_str(), 0777), 0);
    must("chmod 755 $(dirname " + mountpoint() + ")");
  }
  // Runs as another user of this host; gives its exit status.
  static int as_user(const std::function<int()>& what) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::setgid(kUser) != 0 || ::setuid(kUser) != 0) {
        ::_exit(99);
      }
      ::_exit(what());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static struct stat stat_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
    return st;
  }
  static std::string acl_of(const std::string& path) {
    return shell("getfacl --omit-header --absolute-names --no-effective --numeric " + path +
                 " | tr '\\n' ' '")
        .out;
  }
  static std::string bits_of(unsigned mode) {
    return {(mode & 4U) != 0 ? 'r' : '-', (mode & 2U) != 0 ? 'w' : '-',
            (mode & 1U) != 0 ? 'x' : '-'};
  }
  UniqueFd create(const std::string& name) const {
    return UniqueFd(::open(on_mount(name).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  }
};

TEST_F(Permission, WhatAUserMakesIsHis) {
  mount_as_root();
  const auto make_all = [this] {
    const UniqueFd file = create("file");
    return file && ::fchmod(file.get(), 0640) == 0 && ::write(file.get(), "x", 1) == 1 &&
                   ::mkdir(on_mount("dir").c_str(), 0700) == 0 &&
                   ::mkdir(on_mount("dir/below").c_str(), 0700) == 0 &&
                   ::mkfifo(on_mount("fifo").c_str(), 0600) == 0 &&
                   ::symlink("x", on_mount("link").c_str()) == 0
               ? 0
               : 1;
  };
  EXPECT_EQ(as_user(make_all), 0);
  for (const std::string name : {"file", "dir", "dir/below", "fifo", "link"}) {
    EXPECT_EQ(stat_of(on_remote(name)).st_uid, kUser) << name;
    EXPECT_EQ(stat_of(on_remote(name)).st_gid, kUser) << name;
    EXPECT_EQ(stat_of(on_mount(name)).st_uid, kUser) << name;
  }
}

// A lock brings a new file to the remote host while it is empty.
TEST_F(Permission, WhatAUserLocksIsHis) {
  mount_as_root();
  EXPECT_EQ(
      as_user([this] {
        const UniqueFd fd = create("file");
        const UniqueFd shared(::open(on_mount("lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        return ::flock(fd.get(), LOCK_EX) + ::flock(shared.get(), LOCK_EX);
      }),
      0);
  EXPECT_EQ(stat_of(on_remote("file")).st_uid, kUser);
  EXPECT_EQ(stat_of(on_remote("lock")).st_uid, kUser);
}

// open(2), chmod(2): whoever lacks CAP_FSETID loses them.
TEST_F(Permission, TruncationTakesPrivilegesAway) {
  mount_as_root();
  for (const bool linked : {false, true}) {
    must("rm -f " + on_mount("f*") + "; : > " + on_mount("f") + " && chmod 6777 " + on_mount("f"));
    if (linked) {
      must("ln " + on_mount("f") + " " + on_mount("f2"));
    }
    EXPECT_EQ(as_user([this] {
                return UniqueFd(::open(on_mount("f").c_str(), O_WRONLY | O_TRUNC)) ? 0 : 1;
              }),
              0);
    EXPECT_TRUE(wait_until([this] { return stat_of(on_remote("f")).st_mode == 0100777U; }));
  }
}

TEST_F(Permission, TheMountingKernelKnowsAcls) {
  mount_as_root();
  const std::string user = std::to_string(kUser);
  must("echo x > " + on_mount("f") + " && chmod 600 " + on_mount("f"));
  const auto read = [this] {
    return UniqueFd(::open(on_mount("f").c_str(), O_RDONLY)) ? 0 : errno;
  };
  EXPECT_EQ(as_user(read), EACCES);
  must("setfacl -m u:" + user + ":r " + on_mount("f"));
  EXPECT_EQ(as_user(read), 0);
  must("setfacl -x u:" + user + " " + on_mount("f"));
  EXPECT_EQ(as_user(read), EACCES);
}

// acl(5), "Object creation and default ACLs".
TEST_F(Permission, NewFilesInheritTheDefaultAcl) {
  mount();
  must("mkdir " + on_mount("d"));
  if (shell("setfacl -m d:u:7:rwx,d:g::rwx,d:o::- " + on_mount("d")).exit_status != 0) {
    GTEST_SKIP() << "no ACLs there";
  }
  must("umask 022; cd " + on_mount("d") + " && echo x > f && mkdir d && mkfifo p");
  const std::string file_acl = "user::rw- user:7:rwx group::rwx mask::rw- other::---  ";
  EXPECT_EQ(acl_of(on_remote("d/f")), file_acl);
  EXPECT_EQ(stat_of(on_remote("d/f")).st_mode, 0100660U);
  EXPECT_EQ(stat_of(on_remote("d/d")).st_mode, 040770U);
  EXPECT_EQ(stat_of(on_remote("d/p")).st_mode, 010660U);
  // Before it is there, and when its mode changes until then.
  const UniqueFd fd = create("d/g");
  EXPECT_EQ(stat_of(on_mount("d/g")).st_mode, 0100640U);
  ASSERT_EQ(::fchmod(fd.get(), 0660), 0);
  EXPECT_EQ(acl_of(on_mount("d/g")), file_acl);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(acl_of(on_remote("d/g")), file_acl);
}

TEST_F(Permission, UmaskCountsElsewhere) {
  mount();
  must("umask 027; cd " + mountpoint() + " && : > f && mkdir d && mkfifo p");
  EXPECT_EQ(stat_of(on_remote("f")).st_mode, 0100640U);
  EXPECT_EQ(stat_of(on_remote("d")).st_mode, 040750U);
  EXPECT_EQ(stat_of(on_remote("p")).st_mode, 010640U);
}

TEST_F(Permission, WhatCannotBeGivenAwayStays) {
  mount();
  const UniqueFd fd = create("f");
  ASSERT_EQ(::write(fd.get(), "kept", 4), 4);
  EXPECT_EQ(::fchown(fd.get(), 12345, static_cast<gid_t>(-1)), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fchown(fd.get(), static_cast<uid_t>(-1), 12345), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fchown(fd.get(), stat_of(on_mount("f")).st_uid, static_cast<gid_t>(-1)), 0);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "kept");
}

TEST_F(Permission, AttributesThatDoNotFitAreRefusedAtOnce) {
  mount();
  const UniqueFd fd = create("f");
  ASSERT_EQ(::write(fd.get(), "kept", 4), 4);
  if (::fsetxattr(fd.get(), "user.small", "1", 1, 0) != 0) {
    GTEST_SKIP() << "no user xattrs there";
  }
  const std::string value(1000, 'x');
  int set = 0;
  while (set < 100 && ::fsetxattr(fd.get(), ("user.a" + std::to_string(set)).c_str(), value.data(),
                                  value.size(), 0) == 0) {
    ++set;
  }
  if (set == 100) {
    GTEST_SKIP() << "there is room for all of them";
  }
  EXPECT_EQ(errno, ENOSPC);
  ASSERT_EQ(::fremovexattr(fd.get(), "user.small"), 0);
  ASSERT_EQ(::fremovexattr(fd.get(), "user.a1"), 0);  // makes room
  EXPECT_EQ(::fsetxattr(fd.get(), "user.b", value.data(), value.size(), 0), 0);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "kept");
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.small", nullptr, 0), -1);
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.a0", nullptr, 0), 1000);
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.a1", nullptr, 0), -1);
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.b", nullptr, 0), 1000);
}

// Until the commit the old version is as it was, and so it stays where there is none.
TEST_F(Permission, WhatIsRemovedStaysWithTheOldVersion) {
  mount();
  must("echo old > " + on_mount("f") + " && setfattr -n user.a -v 1 " + on_mount("f"));
  must("setfacl -m u:7:rw " + on_mount("f"));
  UniqueFd fd(::open(on_mount("f").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  ASSERT_EQ(::fremovexattr(fd.get(), "user.a"), 0);
  EXPECT_EQ(::fremovexattr(fd.get(), "user.a"), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(::fgetxattr(fd.get(), "user.a", nullptr, 0), -1);
  ASSERT_EQ(::fchmod(fd.get(), 0600), 0);
  EXPECT_EQ(acl_of(on_mount("f")), "user::rw- user:7:rw- group::r-- mask::--- other::---  ");
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.a", nullptr, 0), 1);
  fd.reset();
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.a", nullptr, 0), -1);
  EXPECT_EQ(acl_of(on_remote("f")), "user::rw- user:7:rw- group::r-- mask::--- other::---  ");
}

// Its mode may forbid what was promised.
TEST_F(Permission, AttributesOfAReadOnlyFileAreSet) {
  mount();
  UniqueFd fd = create("f");
  ASSERT_EQ(::write(fd.get(), "x", 1), 1);
  ASSERT_EQ(::fsetxattr(fd.get(), "user.a", "1", 1, 0), 0);
  ASSERT_EQ(::fchmod(fd.get(), 0444), 0);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(::getxattr(on_remote("f").c_str(), "user.a", nullptr, 0), 1);
  EXPECT_EQ(stat_of(on_remote("f")).st_mode, 0100444U);
}

TEST_F(Permission, AFileThatMayNotBeReadHandsNoAttributesDown) {
  mount();
  write_remote("f", "content");
  ASSERT_EQ(::chmod(on_remote("f").c_str(), 0200), 0);
  const UniqueFd fd = open_on_mount("f", O_WRONLY | O_TRUNC);
  EXPECT_EQ(::fremovexattr(fd.get(), "user.none"), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(::fgetxattr(fd.get(), "user.none", nullptr, 0), -1);
  EXPECT_EQ(errno, EACCES);
  ASSERT_EQ(::fchmod(fd.get(), 0600), 0);
  EXPECT_EQ(::fgetxattr(fd.get(), "user.none", nullptr, 0), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(::fsetxattr(fd.get(), "user.a", "1", 1, XATTR_CREATE), 0);
}

// Also where the kernel knows of no ACLs, and asks for the mode alone (ls -l).
TEST_F(Permission, AnAclChangesTheModeAtOnce) {
  mount();
  write_remote("f", "content");
  const auto mode_of = [this] {
    struct statx st {};
    EXPECT_EQ(::statx(AT_FDCWD, on_mount("f").c_str(), 0, STATX_MODE, &st), 0);
    return st.stx_mode & 0777U;
  };
  for (const unsigned mode : {0600U, 0640U, 0755U}) {
    static_cast<void>(mode_of());  // the kernel remembers it
    const std::string acl =
        "u::" + bits_of(mode >> 6U) + ",g::" + bits_of(mode >> 3U) + ",o::" + bits_of(mode);
    ASSERT_EQ(run_command({"setfacl", "--set", acl, on_mount("f")}).exit_status, 0);
    EXPECT_EQ(mode_of(), mode);
  }
}

TEST_F(Permission, AMinimalAclIsAMode) {
  mount();
  must("echo x > " + local("f") + " && chmod 640 " + local("f"));
  must("cp -p " + local("f") + " " + on_mount("f"));
  EXPECT_EQ(stat_of(on_remote("f")).st_mode, 0100640U);
  EXPECT_EQ(stat_of(on_remote("f")).st_mtime, stat_of(local("f")).st_mtime);
  const UniqueFd fd = create("g");
  EXPECT_EQ(::fremovexattr(fd.get(), "system.posix_acl_access"), 0);
}

}  // namespace
}  // namespace cpaway::testing
