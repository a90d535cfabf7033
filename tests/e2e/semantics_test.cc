// What programs expect of a filesystem, on the mount and in what it leaves on the remote host.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMiB = 1UL << 20U;

class Semantics : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
    }
  }
  static uint64_t inode_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
    return st.st_ino;
  }
};

TEST_F(Semantics, LinksShowTheSizeOfWhatIsBeingWritten) {
  constexpr off_t kEnd = 3 << 20;
  for (int i = 0; i < 20; ++i) {
    const std::string name = on_mount("f" + std::to_string(i));
    std::ofstream(name) << "x";
    const UniqueFd fd(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
    for (off_t at = 0; at < kEnd; at += 1 << 20) {
      const std::string block(1 << 20, 'b');
      ASSERT_EQ(::pwrite(fd.get(), block.data(), block.size(), at), 1 << 20);
    }
    const std::string other = name + "-link";
    ASSERT_EQ(::link(name.c_str(), other.c_str()), 0);
    EXPECT_EQ(std::filesystem::file_size(other), kEnd) << i;
    EXPECT_EQ(std::filesystem::file_size(name), kEnd) << i;
  }
}

TEST_F(Semantics, WritesWithoutTruncationGoInPlace) {
  const std::string file = make_file("f", 5 * kMiB);
  must("cp " + file + " " + on_mount("f"));
  const uint64_t inode = inode_of(on_remote("f"));
  const std::string edit = " bs=1000 seek=2000 count=1 conv=notrunc if=/etc/services 2>/dev/null";
  must("dd of=" + on_mount("f") + edit);
  must("dd of=" + file + edit);
  must("echo more >> " + on_mount("f") + " && echo more >> " + file);
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file));
  EXPECT_EQ(sha256_of_file(on_mount("f")), sha256_of_file(file));
  EXPECT_EQ(sha256_on_mount("f"), sha256_of_file(file));
  EXPECT_EQ(inode_of(on_remote("f")), inode);
}

TEST_F(Semantics, HardLinksStayLinked) {
  write_remote("a", "old");
  ASSERT_EQ(::link(on_remote("a").c_str(), on_remote("b").c_str()), 0);
  must("cp " + make_file("f", 3 * kMiB) + " " + on_mount("a"));
  EXPECT_EQ(inode_of(on_remote("a")), inode_of(on_remote("b")));
  EXPECT_EQ(sha256_of_file(on_remote("b")), sha256_of_file(local("f")));
  must("ln " + on_mount("a") + " " + on_mount("c"));
  EXPECT_EQ(inode_of(on_mount("a")), inode_of(on_mount("c")));
}

TEST_F(Semantics, WhoWroteTheOldVersionWritesTheNewOne) {
  write_remote("f", "the old version");
  const UniqueFd early = open_on_mount("f", O_RDWR);
  put(early, "in place ");
  must("echo new > " + on_mount("f"));
  put(early, "more");
  ASSERT_EQ(::fsync(early.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), std::string("new\n\0\0\0\0\0more", 13));
}

TEST_F(Semantics, ReplacedFileKeepsModeAndXattrs) {
  must("echo old > " + on_mount("f") + " && chmod 640 " + on_mount("f") +
       " && setfattr -n user.color -v blue " + on_mount("f"));
  must("echo new > " + on_mount("f"));
  EXPECT_EQ(read_file(on_remote("f")), "new\n");
  EXPECT_EQ(shell("stat -c %a " + on_remote("f")).out, "640\n");
  EXPECT_EQ(shell("getfattr --only-values -n user.color " + on_remote("f")).out, "blue");
  EXPECT_EQ(shell("getfattr --only-values -n user.color " + on_mount("f")).out, "blue");
}

TEST_F(Semantics, WhatIsWrittenIsReadBeforeTheCommit) {
  for (const size_t size : {size_t{1000}, 3 * kMiB + 77}) {
    const UniqueFd fd = open_on_mount("f", O_RDWR | O_CREAT | O_TRUNC);
    const std::string text(size, 'x');
    put(fd, text);
    struct stat st {};
    ASSERT_EQ(::fstat(fd.get(), &st), 0);
    EXPECT_EQ(static_cast<size_t>(st.st_size), size);
    EXPECT_EQ(read_file(on_mount("f")), text);
    char state[32] = {};
    EXPECT_GT(::getxattr(on_mount("f").c_str(), "user.cpaway.state", state, sizeof state), 0);
    EXPECT_STREQ(state, "writing");
    // The shell's exec closes its copy of the descriptor, which must not wait for itself.
    EXPECT_EQ(shell("ls " + mountpoint()).out, "f\n");
  }
  EXPECT_EQ(read_file(on_remote("f")).size(), 3 * kMiB + 77);
}

TEST_F(Semantics, FsyncCommitsAndLaterWritesGoInPlace) {
  const UniqueFd fd = open_on_mount("f", O_WRONLY | O_CREAT | O_EXCL);
  put(fd, "one");
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "one");
  put(fd, "two");
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "onetwo");
}

TEST_F(Semantics, UnlinkedAndRenamedFilesStayOpen) {
  const UniqueFd created = open_on_mount("new", O_RDWR | O_CREAT | O_EXCL);
  put(created, "lost");
  ASSERT_EQ(::unlink(on_mount("new").c_str()), 0);
  char text[8] = {};
  EXPECT_EQ(::pread(created.get(), text, sizeof text, 0), 4);

  must("echo kept > " + on_mount("old"));
  const UniqueFd reader = open_on_mount("old", O_RDONLY);
  const UniqueFd writer = open_on_mount("old", O_WRONLY);
  ASSERT_EQ(::unlink(on_mount("old").c_str()), 0);
  put(writer, "K");
  EXPECT_EQ(::pread(reader.get(), text, sizeof text, 0), 5);
  EXPECT_EQ(text[0], 'K');
  EXPECT_EQ(remote_names(), std::vector<std::string>{});

  const UniqueFd renamed = open_on_mount("a", O_WRONLY | O_CREAT);
  put(renamed, "1");
  ASSERT_EQ(::rename(on_mount("a").c_str(), on_mount("b").c_str()), 0);
  put(renamed, "2");
  ASSERT_EQ(::fsync(renamed.get()), 0);
  EXPECT_EQ(read_file(on_remote("b")), "12");
}

TEST_F(Semantics, WritersFollowTheFileThatAnotherTruncates) {
  write_remote("f", "old");
  const UniqueFd writer = open_on_mount("f", O_RDWR);
  put(writer, "OLD");
  ASSERT_EQ(::fsync(writer.get()), 0);
  must("echo new version > " + on_mount("f"));
  put(writer, "F");
  ASSERT_EQ(::fsync(writer.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "newFversion\n");
  EXPECT_EQ(read_file(on_mount("f")), "newFversion\n");
}

TEST_F(Semantics, ReadersKeepAnUnlinkedFileThatWasNeverCommitted) {
  UniqueFd writer = open_on_mount("f", O_WRONLY | O_CREAT);
  put(writer, "kept");
  UniqueFd reader = open_on_mount("f", O_RDONLY);
  ASSERT_EQ(::unlink(on_mount("f").c_str()), 0);
  writer.reset();
  char text[8] = {};
  EXPECT_EQ(::pread(reader.get(), text, sizeof text, 0), 4);
  struct stat st {};
  EXPECT_EQ(::fstat(reader.get(), &st), 0);
  EXPECT_EQ(st.st_size, 4);
  reader.reset();
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
}

TEST_F(Semantics, FilesThatMayOnlyBeWrittenAre) {
  must("echo old > " + on_mount("f") + " && chmod 200 " + on_mount("f"));
  must("printf N | dd conv=notrunc status=none of=" + on_mount("f"));
  EXPECT_EQ(read_file(on_remote("f")), "Nld\n");
}

TEST_F(Semantics, TruncationKeepsAttributesThatCannotBeRead) {
  must("echo old > " + on_mount("f") + " && setfattr -n user.a -v 1 " + on_mount("f"));
  must("chmod 200 " + on_mount("f") + " && echo new > " + on_mount("f"));
  EXPECT_EQ(read_file(on_remote("f")), "new\n");
  EXPECT_NE(shell("getfattr -d --absolute-names " + on_remote("f")).out.find("user.a"),
            std::string::npos);
}

// Also of a file that is being written, whose attributes are the old version's.
TEST_F(Semantics, AttributesOutliveTheName) {
  must("mkdir " + on_mount("d"));
  must("echo old > " + on_mount("f") + " && setfattr -n user.a -v 1 " + on_mount("f"));
  const UniqueFd written = open_on_mount("f", O_WRONLY | O_TRUNC);
  const UniqueFd directory = open_on_mount("d", O_RDONLY | O_DIRECTORY);
  put(written, "new");
  must("rm " + on_mount("f") + " && rmdir " + on_mount("d"));
  char value = 0;
  EXPECT_EQ(::fgetxattr(written.get(), "user.a", &value, 1), 1);
  EXPECT_EQ(::fsetxattr(written.get(), "user.b", "2", 1, 0), 0);
  EXPECT_EQ(::flistxattr(written.get(), nullptr, 0), 14);
  EXPECT_EQ(::fsetxattr(directory.get(), "user.b", "2", 1, 0), 0);
  EXPECT_EQ(::fgetxattr(directory.get(), "user.b", &value, 1), 1);
}

// execve(2) closes it while the process can be looked at by nobody.
TEST_F(Semantics, ProgramsCloseAnEmptyFileByExec) {
  for (const int flags : {O_CREAT | O_EXCL, O_TRUNC, O_TRUNC}) {
    const UniqueFd fd = open_on_mount("f", O_WRONLY | flags);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execl("/bin/true", "true", nullptr);
      ::_exit(1);
    }
    int status = 1;
    EXPECT_TRUE(wait_until([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }));
    EXPECT_EQ(status, 0);
  }
}

TEST_F(Semantics, ReadersMayTruncate) {
  for (const bool linked : {false, true}) {
    must("rm -f " + on_mount("f*") + "; echo old > " + on_mount("f"));
    if (linked) {
      must("ln " + on_mount("f") + " " + on_mount("f2"));
    }
    UniqueFd fd = open_on_mount("f", O_RDONLY | O_TRUNC);
    char byte = 0;
    EXPECT_EQ(::read(fd.get(), &byte, 1), 0);
    fd.reset();
    EXPECT_TRUE(wait_until([this] { return read_file(on_remote("f")).empty(); }));
  }
}

// For who only reads the kernel finds out when the mount has opened it, and then has dropped the
// pages that the program runs on.
TEST_F(Semantics, RunningProgramsAreNotTruncated) {
  const std::string gate = local("gate");
  ASSERT_EQ(::mkfifo(gate.c_str(), 0600), 0);
  for (const bool linked : {false, true}) {
    const std::string program = on_mount("sh" + std::to_string(static_cast<int>(linked)));
    must("cp /bin/sh " + program + (linked ? "; ln " + program + " " + program + "-link" : ""));
    const pid_t pid = spawn({program, "-c", "read status < " + gate + "; exit $status"});
    UniqueFd writer;
    ASSERT_TRUE(wait_until([&writer, &gate] {  // it has the pipe open, and so it runs
      writer.reset(::open(gate.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
      return static_cast<bool>(writer);
    }));
    for (const int access : {O_RDONLY, O_WRONLY}) {
      EXPECT_EQ(::open(program.c_str(), access | O_TRUNC | O_CLOEXEC), -1);
      EXPECT_EQ(errno, ETXTBSY) << linked;
    }
    put(writer, "7\n");
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << linked << ", " << status;
  }
  unmount();  // the end of whatever was begun
  for (const char* name : {"sh0", "sh1"}) {
    EXPECT_EQ(sha256_of_file(on_remote(name)), sha256_of_file("/bin/sh"));
  }
}

TEST_F(Semantics, FilesWithoutANameAreOpenedAnew) {
  const UniqueFd fd = open_on_mount("f", O_RDWR | O_CREAT);
  put(fd, "hello");
  ASSERT_EQ(::fsync(fd.get()), 0);
  ASSERT_EQ(::unlink(on_mount("f").c_str()), 0);
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(read_file(link), "hello");
  const UniqueFd second(::open(link.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(second);
  put(second, "J");
  EXPECT_EQ(read_file(link), "Jello");
}

TEST_F(Semantics, RemovedDirectoriesAndFifosStayOpen) {
  must("mkdir " + on_mount("d") + " && mkfifo " + on_mount("p"));
  const UniqueFd directory = open_on_mount("d", O_RDONLY | O_DIRECTORY);
  const UniqueFd fifo = open_on_mount("p", O_RDWR | O_NONBLOCK);
  must("rm -r " + on_mount("d") + " " + on_mount("p"));
  for (const UniqueFd* fd : {&directory, &fifo}) {
    struct stat st {};
    EXPECT_EQ(::futimens(fd->get(), nullptr), 0);
    EXPECT_EQ(::fstat(fd->get(), &st), 0);
    EXPECT_EQ(st.st_nlink, 0U);
  }
  const std::string path = "/proc/self/fd/" + std::to_string(directory.get());
  EXPECT_TRUE(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  ASSERT_EQ(::fchmod(directory.get(), 0), 0);
  EXPECT_FALSE(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  EXPECT_EQ(errno, EACCES);
}

TEST_F(Semantics, AttributesOfANewFileAreJudgedAtOnce) {
  const UniqueFd fd = open_on_mount("f", O_WRONLY | O_CREAT, 0444);
  const auto error_of = [&fd](const char* name) {
    return ::fsetxattr(fd.get(), name, "v", 1, 0) == 0 ? 0 : errno;
  };
  EXPECT_EQ(error_of("nonsense.a"), EACCES);
  EXPECT_EQ(error_of("system.nonsense"), EOPNOTSUPP);
  EXPECT_EQ(error_of("trusted.a"), EPERM);
  EXPECT_EQ(error_of("user.a"), EACCES);
  ASSERT_EQ(::fchmod(fd.get(), 0644), 0);
  EXPECT_EQ(error_of("user.a"), 0);
  EXPECT_EQ(::fremovexattr(fd.get(), "nonsense.a"), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  ASSERT_EQ(::fsync(fd.get()), 0);
}

// The old version goes before the upload asks for it. What is left over is found at the end.
TEST_F(Semantics, UnlinkedFilesLeaveNothingBehind) {
  for (int i = 0; i < 20; ++i) {
    const std::string name = "f" + std::to_string(i);
    must("echo old > " + on_mount(name));
    const UniqueFd fd = open_on_mount(name, O_WRONLY | O_TRUNC);
    put(fd, std::string(5000, 'n'));
    ASSERT_EQ(::unlink(on_mount(name).c_str()), 0);
    EXPECT_EQ(::pwrite(fd.get(), "end", 3, 200'000), 3);
  }
  EXPECT_TRUE(wait_until([this] { return remote_names().empty(); }));
}

// The kernel tells of a close when the program goes on already, and may unlink the name meanwhile.
TEST_F(Semantics, TheAgentKeepsNoRemovedFileOpen) {
  for (int i = 0; i < 1000; ++i) {
    const std::string name = on_mount("f" + std::to_string(i));
    { put(open_on_mount("f" + std::to_string(i), O_WRONLY | O_CREAT), "content"); }
    {
      const UniqueFd fd(::open(name.c_str(), O_RDWR | O_CLOEXEC));
      ASSERT_EQ(::ftruncate(fd.get(), 3), 0);
    }
    ASSERT_EQ(::unlink(name.c_str()), 0);
  }
  const auto removed = [this] {
    int count = 0;
    for (const pid_t agent : sshd().agents()) {
      const std::string folder = "/proc/" + std::to_string(agent) + "/fd";
      for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::error_code gone;
        const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
        count += target.ends_with(" (deleted)") && target.starts_with(on_remote("")) ? 1 : 0;
      }
    }
    return count;
  };
  EXPECT_TRUE(wait_until([&removed] { return removed() == 0; })) << removed();
}

// They are not looked through for another descriptor of the file: it is committed a moment later.
TEST_F(Semantics, ProgramsMayHaveManyDescriptors) {
  std::vector<UniqueFd> many;
  for (int i = 0; i < 1100; ++i) {
    many.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(many.back()) << i;
  }
  { const UniqueFd fd = open_on_mount("empty", O_WRONLY | O_CREAT); }
  EXPECT_EQ(::access(on_mount("empty").c_str(), F_OK), 0);
  EXPECT_TRUE(wait_until([this] { return ::access(on_remote("empty").c_str(), F_OK) == 0; }));
}

// It has committed what was its own: what comes after is another's.
TEST_F(Semantics, WhoHasSyncedDoesNotCommitForOthers) {
  UniqueFd first = open_on_mount("f", O_WRONLY | O_CREAT);
  put(first, "first");
  ASSERT_EQ(::fsync(first.get()), 0);
  UniqueFd second = open_on_mount("f", O_WRONLY | O_TRUNC);
  put(second, "half");
  first.reset();
  EXPECT_EQ(read_file(on_remote("f")), "first");
  put(second, "whole");
  second.reset();
  EXPECT_EQ(read_file(on_remote("f")), "halfwhole");
}

TEST_F(Semantics, AttributesOfTheOldVersionCountWhileTheNewOneIsWritten) {
  must("echo old > " + on_mount("f") + " && setfattr -n user.a -v 1 " + on_mount("f"));
  UniqueFd fd = open_on_mount("f", O_WRONLY | O_TRUNC);
  put(fd, "new");
  EXPECT_EQ(::fsetxattr(fd.get(), "user.a", "2", 1, XATTR_CREATE), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(::fsetxattr(fd.get(), "user.b", "2", 1, XATTR_REPLACE), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(::fsetxattr(fd.get(), "user.a", "2", 1, XATTR_REPLACE), 0);
  EXPECT_EQ(::fsetxattr(fd.get(), "user.b", "3", 1, XATTR_CREATE), 0);
  EXPECT_EQ(::flistxattr(fd.get(), nullptr, 0), 14);
  EXPECT_EQ(::fremovexattr(fd.get(), "user.a"), 0);
  fd.reset();
  EXPECT_EQ(shell("getfattr -d --absolute-names " + on_remote("f") + " | grep user").out,
            "user.b=\"3\"\n");
}

TEST_F(Semantics, TimesThatWereSetGiveWayToLaterWrites) {
  const std::array<timespec, 2> past{timespec{1000, 0}, timespec{1000, 0}};
  const auto mtime = [](const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0);
    return st.st_mtime;
  };
  UniqueFd fd = open_on_mount("f", O_WRONLY | O_CREAT);
  put(fd, "one");
  ASSERT_EQ(::futimens(fd.get(), past.data()), 0);
  put(fd, "two");
  EXPECT_GT(mtime(on_mount("f")), 1000);
  fd.reset();
  EXPECT_GT(mtime(on_remote("f")), 1000);

  fd = open_on_mount("f", O_WRONLY | O_TRUNC);
  put(fd, "one");
  ASSERT_EQ(::futimens(fd.get(), past.data()), 0);
  ASSERT_EQ(::ftruncate(fd.get(), 1), 0);
  fd.reset();
  EXPECT_GT(mtime(on_remote("f")), 1000);
}

TEST_F(Semantics, ModesCountWhileAFileIsWritten) {
  const UniqueFd fd = open_on_mount("f", O_RDWR | O_CREAT | O_EXCL, 0200);
  EXPECT_EQ(::open(on_mount("f").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(::access(on_mount("f").c_str(), X_OK), -1);
  ASSERT_EQ(::fchmod(fd.get(), 0500), 0);
  EXPECT_EQ(::access(on_mount("f").c_str(), R_OK | X_OK), 0);
  EXPECT_EQ(::open(on_mount("f").c_str(), O_WRONLY | O_TRUNC), -1);
  EXPECT_EQ(errno, EACCES);
}

TEST_F(Semantics, ExclusiveCreationDoesNotReplace) {
  const UniqueFd fd = open_on_mount("f", O_WRONLY | O_CREAT | O_EXCL);
  put(fd, "mine");
  write_file(on_remote("f"), "theirs");
  UniqueFd closing(::dup(fd.get()));
  EXPECT_EQ(::close(closing.release()), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(read_file(on_remote("f")), "theirs");
}

TEST_F(Semantics, TruncationUpAndDown) {
  must("cp " + make_file("f", 2 * kMiB) + " " + on_mount("f"));
  must("truncate -s 1000 " + on_mount("f") + " && truncate -s 1000 " + local("f"));
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(local("f")));
  must("truncate -s 5M " + on_mount("f") + " && truncate -s 5M " + local("f"));
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(local("f")));
  must("truncate -s 3M " + on_mount("fresh"));
  EXPECT_EQ(read_file(on_remote("fresh")), std::string(3 * kMiB, '\0'));
}

TEST_F(Semantics, SharedMapping) {
  must("head -c 100000 /dev/zero > " + on_mount("f"));
  const UniqueFd fd = open_on_mount("f", O_RDWR);
  void* map = ::mmap(nullptr, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(map, MAP_FAILED);
  static_cast<char*>(map)[50000] = 'm';
  EXPECT_EQ(::msync(map, 100000, MS_SYNC), 0);
  EXPECT_EQ(read_file(on_remote("f"))[50000], 'm');
  ::munmap(map, 100000);
}

// A close commits what is written so far; what others write meanwhile must not get lost.
TEST_F(Semantics, WritesBesideACommitAreKept) {
  constexpr size_t kPiece = 3000;
  constexpr size_t kPieces = 16;
  for (int round = 0; round < 60; ++round) {
    const std::string name = "f" + std::to_string(round);
    const UniqueFd file = open_on_mount(name, O_RDWR | O_CREAT | O_TRUNC);
    std::string expected;
    for (size_t i = 0; i < kPieces; ++i) {
      expected.append(kPiece, static_cast<char>('a' + i));
    }
    const auto write_every_third = [&](size_t first) {
      for (size_t at = first * kPiece; at < expected.size(); at += 3 * kPiece) {
        EXPECT_EQ(::pwrite(file.get(), expected.data() + at, kPiece, static_cast<off_t>(at)),
                  static_cast<ssize_t>(kPiece));
      }
    };
    std::thread one(write_every_third, 0);
    std::thread two(write_every_third, 1);
    std::thread three([&] {
      write_every_third(2);
      EXPECT_EQ(::close(::dup(file.get())), 0);  // a flush: a commit
    });
    one.join();
    two.join();
    three.join();
    ASSERT_EQ(::fsync(file.get()), 0);
    EXPECT_EQ(read_file(on_remote(name)), expected) << round;
  }
}

TEST_F(Semantics, NamesOfEveryKind) {
  must("cd " + mountpoint() +
       " && mkdir d && ln -s 'any text' d/l && mkfifo d/p"
       " && : > \"$(printf 'a\\nb\\377')\" && : > " +
       std::string(255, 'n'));
  EXPECT_EQ(shell("readlink " + on_remote("d/l")).out, "any text\n");
  EXPECT_EQ(shell("stat -c %F " + on_remote("d/p")).out, "fifo\n");
  EXPECT_EQ(::mkdir(on_mount(std::string(256, 'n')).c_str(), 0755), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  EXPECT_EQ(::rmdir(on_mount("d").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  EXPECT_EQ(::open(on_mount(".cpaway-0123456789abcdef.part").c_str(), O_WRONLY | O_CREAT, 0644),
            -1);
  EXPECT_EQ(errno, EPERM);
  struct statvfs here {};
  struct statvfs there {};
  ASSERT_EQ(::statvfs(mountpoint().c_str(), &here), 0);
  ASSERT_EQ(::statvfs(on_remote("").c_str(), &there), 0);
  EXPECT_EQ(here.f_blocks, there.f_blocks);
  EXPECT_EQ(here.f_namemax, there.f_namemax);
}

TEST_F(Semantics, ListingWhileFilesAreMade) {
  must("cd " + mountpoint() + " && for i in $(seq 3000); do : > f$i; done");
  EXPECT_EQ(shell("ls " + mountpoint() + " | wc -l").out, "3000\n");
  EXPECT_EQ(shell("ls -U " + on_remote("") + " | wc -l").out, "3000\n");
  must("rm " + mountpoint() + "/f*");
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
}

TEST_F(Semantics, ExtendedAttributes) {
  must("echo x > " + on_mount("f"));
  must("setfattr -n user.a -v 1 " + on_mount("f") + " && setfattr -n user.b -v 2 " + on_mount("f") +
       " && setfattr -x user.a " + on_mount("f"));
  EXPECT_EQ(shell("getfattr -d --absolute-names " + on_remote("f") + " | grep user").out,
            "user.b=\"2\"\n");
  EXPECT_EQ(::setxattr(on_mount("f").c_str(), "user.cpaway.sha256", "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::getxattr(on_mount("f").c_str(), "user.b", nullptr, 0), 1);
  // What is known to have none is not asked about, but for what was set here since.
  must("echo x > " + on_remote("g") + " && chmod 666 " + on_remote("g"));
  struct stat st {};
  ASSERT_EQ(::stat(on_mount("g").c_str(), &st), 0);
  EXPECT_EQ(::getxattr(on_mount("g").c_str(), "user.c", nullptr, 0), -1);
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(::listxattr(on_mount("g").c_str(), nullptr, 0), 0);
  ASSERT_EQ(::setxattr(on_mount("g").c_str(), "user.c", "xyz", 3, 0), 0);
  EXPECT_EQ(::getxattr(on_mount("g").c_str(), "user.c", nullptr, 0), 3);
  EXPECT_EQ(::listxattr(on_mount("g").c_str(), nullptr, 0), 7);
  // Those of others show after a second at the latest.
  must("setfattr -n user.d -v 1 " + on_remote("f"));
  EXPECT_TRUE(
      wait_until([this] { return ::getxattr(on_mount("f").c_str(), "user.d", nullptr, 0) == 1; }));
}

TEST_F(Semantics, ToolsWorkUnmodified) {
  must("cd " + mountpoint() +
       " && mkdir src && tar -C /usr/include -cf - linux | tar -C src -xf -");
  must("diff -r /usr/include/linux " + on_remote("src/linux"));
  must("cd " + mountpoint() +
       " && git init -q repo && cd repo && git config user.email a@b && git config user.name n"
       " && cp -r ../src/linux . && git add . && git commit -q -m one && git fsck --no-progress"
       " && git status --porcelain");
  must("rsync -a " + mountpoint() + "/src/ " + mountpoint() + "/copy/");
  EXPECT_EQ(shell("rsync -ai " + mountpoint() + "/src/ " + mountpoint() + "/copy/").out, "");
}

}  // namespace
}  // namespace cpaway::testing
