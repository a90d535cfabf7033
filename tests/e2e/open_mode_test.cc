// A descriptor does what it was opened for, whatever the file's mode says by then (open(2)): also
// where the login user, who is not root, could not open it again.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {
namespace {

class OpenMode : public MountedRemote {
 protected:
  static void put(const UniqueFd& fd, const std::string& text, off_t offset) {
    ASSERT_EQ(::pwrite(fd.get(), text.data(), text.size(), offset),
              static_cast<ssize_t>(text.size()))
        << ::strerror(errno);
  }
  static std::string get(const UniqueFd& fd, size_t size, off_t offset = 0) {
    std::string text(size, '\0');
    const ssize_t got = ::pread(fd.get(), text.data(), size, offset);
    return got < 0 ? ::strerror(errno) : text.substr(0, static_cast<size_t>(got));
  }
  // Everything that a descriptor for reading and writing is for, on a file that holds "12".
  void use(const UniqueFd& fd) {
    put(fd, "345", 2);
    EXPECT_EQ(get(fd, 9), "12345");
    EXPECT_EQ(::ftruncate(fd.get(), 4), 0) << ::strerror(errno);
    EXPECT_EQ(::fsync(fd.get()), 0) << ::strerror(errno);
    EXPECT_EQ(::lseek(fd.get(), 0, SEEK_DATA), 0) << ::strerror(errno);
    EXPECT_EQ(::fallocate(fd.get(), 0, 0, 6), 0) << ::strerror(errno);
    put(fd, "x", 0);
    EXPECT_EQ(get(fd, 9), std::string("x234\0\0", 6));
  }
};

TEST_F(OpenMode, OfANewFileThatIsSynced) {
  mount();
  for (const mode_t mode : {0444U, 0200U, 0U}) {
    const std::string name = "f" + std::to_string(mode);
    UniqueFd fd(::open(on_mount(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode));
    put(fd, "12", 0);
    ASSERT_EQ(::fsync(fd.get()), 0);
    use(fd);
    ASSERT_EQ(::close(fd.release()), 0);
    EXPECT_EQ(read_file(on_remote(name)), std::string("x234\0\0", 6));
  }
}

// As when a program starts another that ends before it.
TEST_F(OpenMode, OfANewFileOfWhichAnotherDescriptorIsClosed) {
  mount();
  UniqueFd fd(::open(on_mount("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0));
  const std::string large(3U << 20U, 'a');
  put(fd, large, 0);
  ASSERT_EQ(::close(::dup(fd.get())), 0);
  put(fd, "b", 0);
  EXPECT_EQ(get(fd, 2), "ba");
  ASSERT_EQ(::close(fd.release()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "b" + large.substr(1));
}

TEST_F(OpenMode, OfAFileWhoseModeIsChanged) {
  mount();
  write_remote("f", "12");
  UniqueFd fd = open_on_mount("f", O_RDWR);
  ASSERT_EQ(::chmod(on_mount("f").c_str(), 0), 0);
  use(fd);
  UniqueFd synced(::open(on_mount("g").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  put(synced, "12", 0);
  ASSERT_EQ(::fsync(synced.get()), 0);
  ASSERT_EQ(::fchmod(synced.get(), 0), 0);
  use(synced);
}

TEST_F(OpenMode, OfAFileThatIsLocked) {
  mount();
  write_remote("old", "12");
  UniqueFd old = open_on_mount("old", O_RDWR);
  ASSERT_EQ(::fchmod(old.get(), 0444), 0);
  UniqueFd made(::open(on_mount("made").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0));
  for (UniqueFd* fd : {&old, &made}) {
    struct flock all {};
    all.l_type = F_WRLCK;
    EXPECT_EQ(::fcntl(fd->get(), F_SETLK, &all), 0) << ::strerror(errno);
    EXPECT_EQ(::flock(fd->get(), LOCK_EX), 0) << ::strerror(errno);
    const UniqueFd there(::open(on_remote(fd == &old ? "old" : "made").c_str(), O_RDWR));
    EXPECT_EQ(::flock(there.get(), LOCK_EX | LOCK_NB), -1);
    EXPECT_EQ(::fcntl(there.get(), F_OFD_SETLK, &all), -1);
    put(*fd, "x", 0);
    fd->reset();
    EXPECT_TRUE(wait_until([&] { return ::flock(there.get(), LOCK_EX | LOCK_NB) == 0; }));
    EXPECT_EQ(::fcntl(there.get(), F_OFD_SETLK, &all), 0);
  }
}

TEST_F(OpenMode, IsAskedForByWhoTruncatesByName) {
  mount();
  const UniqueFd fd(::open(on_mount("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0444));
  put(fd, "12", 0);
  EXPECT_EQ(::truncate(on_mount("f").c_str(), 1), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(::ftruncate(fd.get(), 1), 0);
}

TEST_F(OpenMode, OfAFileThatIsReplacedByOneThatMayNotBeRead) {
  mount();
  write_remote("f", "12");
  const UniqueFd reader = open_on_mount("f", O_RDONLY);
  UniqueFd writer = open_on_mount("f", O_WRONLY | O_TRUNC);
  put(writer, "345", 0);
  ASSERT_EQ(::fchmod(writer.get(), 0200), 0);
  ASSERT_EQ(::close(writer.release()), 0);
  EXPECT_EQ(get(reader, 9), "345");
  EXPECT_EQ(::open(on_mount("f").c_str(), O_RDONLY), -1);
  EXPECT_EQ(errno, EACCES);
}

// Closed and open again, or not even closed: what is open below is not taken for what comes then.
TEST_F(OpenMode, OfADirectoryDoesNotHideANewVersion) {
  mount();
  must("mkdir " + on_mount("d") + " && echo 1 > " + on_mount("d/f"));
  const UniqueFd held = open_on_mount("d/f", O_RDONLY);
  const std::string steps =
      "chmod 555 " + on_mount("d") + "; chmod 755 " + on_mount("d") + "; cd " + on_mount("d");
  must(steps + "; echo 2 > " + local("new") + "; cp " + local("new") + " f");
  EXPECT_EQ(read_file(on_mount("d/f")), "2\n");
  must("echo 3 >> " + on_mount("d/f"));
  EXPECT_EQ(read_file(on_remote("d/f")), "2\n3\n");
  struct stat st {};
  EXPECT_TRUE(wait_until([&] { return ::fstat(held.get(), &st) == 0 && st.st_size == 4; }));
  must(steps + "; mv f g; cp " + local("new") + " f; cp " + local("new") + " g");
  EXPECT_EQ(read_file(on_remote("d/f")), "2\n");
  EXPECT_EQ(read_file(on_remote("d/g")), "2\n");
}

// After a lost connection those who may read it do.
TEST_F(OpenMode, OfAReadOnlyFileIsAskedAfterALostConnection) {
  mount();
  UniqueFd writer(::open(on_mount("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0444));
  put(writer, "12", 0);
  ASSERT_EQ(::fsync(writer.get()), 0);
  const UniqueFd reader = open_on_mount("f", O_RDONLY);
  sshd().kill_sessions();
  EXPECT_EQ(get(reader, 9), "12");
  const UniqueFd again = open_on_mount("f", O_RDONLY);
  EXPECT_EQ(get(again, 9), "12");
  writer.reset(::open(on_mount("g").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0200));
  put(writer, "12", 0);
  ASSERT_EQ(::fsync(writer.get()), 0);
  sshd().kill_sessions();
  put(writer, "345", 2);
  ASSERT_EQ(::close(writer.release()), 0);
  EXPECT_EQ(read_file(on_remote("g")), "12345");
}

// And so does a directory's.
TEST_F(OpenMode, OfADirectoryDoesNotMatterToWhatIsOpenBelow) {
  mount();
  for (const mode_t mode : {0555U, 0U}) {
    must("mkdir -p " + on_mount("d/e"));
    const std::string name = "d/e/f" + std::to_string(mode);
    UniqueFd fd(::open(on_mount(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    put(fd, "12", 0);
    ASSERT_EQ(::chmod(on_mount("d/e").c_str(), mode), 0);
    ASSERT_EQ(::chmod(on_mount("d").c_str(), mode), 0);
    use(fd);
    struct stat st {};
    ASSERT_EQ(::chmod(on_mount("d").c_str(), 0755), 0);  // the nearer one is closed still
    EXPECT_EQ(::fchmod(fd.get(), 0600), 0) << ::strerror(errno);
    EXPECT_EQ(::fstat(fd.get(), &st), 0) << ::strerror(errno);
    EXPECT_EQ(st.st_mode, 0100600U);
    EXPECT_EQ(::close(fd.release()), 0) << ::strerror(errno);
    EXPECT_EQ(read_file(on_remote(name)), std::string("x234\0\0", 6));
    must("chmod 755 " + on_remote("d") + " " + on_remote("d/e"));
    must("rm -r " + on_remote("d"));
    EXPECT_TRUE(wait_until([&] { return ::access(on_mount("d").c_str(), F_OK) != 0; }));
  }
}

}  // namespace
}  // namespace cpaway::testing
