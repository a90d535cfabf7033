// Names that change, and directories that go, while files are being written there.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMiB = 1UL << 20U;
constexpr size_t kSomeSent = 3 * kMiB;  // bytes

class Rename : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
    }
  }
  static bool exists(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
  }
};

TEST_F(Rename, DirectoriesWithANewFileAreNotReplaced) {
  must("mkdir " + on_mount("a") + " " + on_mount("b"));
  const UniqueFd fd = open_on_mount("b/f", O_WRONLY | O_CREAT);
  EXPECT_EQ(::rename(on_mount("a").c_str(), on_mount("b").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  EXPECT_EQ(::rmdir(on_mount("b").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
}

// What is being written in it moves along, and is committed when its program says so.
TEST_F(Rename, DirectoriesMoveWithTheFilesThatAreWrittenInThem) {
  for (const size_t sent : {size_t{5}, kSomeSent}) {
    must("mkdir -p " + on_mount("a/deep") + " && echo old > " + on_mount("a/deep/changed"));
    const UniqueFd fresh = open_on_mount("a/deep/new", O_RDWR | O_CREAT);
    const UniqueFd changed = open_on_mount("a/deep/changed", O_RDWR | O_TRUNC);
    const std::string first(sent, '1');
    put(fresh, first);
    put(changed, first);
    ASSERT_EQ(::rename(on_mount("a").c_str(), on_mount("b").c_str()), 0);
    EXPECT_FALSE(exists(on_remote("b/deep/new")));
    EXPECT_EQ(read_file(on_remote("b/deep/changed")), "old\n");
    EXPECT_EQ(read_file(on_mount("b/deep/new")), first);
    sshd().kill_sessions();  // it goes on under its new path
    const std::string second(2 * kMiB, '2');
    put(fresh, second);
    put(changed, second);
    ASSERT_EQ(::fsync(fresh.get()), 0);
    ASSERT_EQ(::fsync(changed.get()), 0);
    EXPECT_TRUE(read_file(on_remote("b/deep/new")) == first + second);
    EXPECT_TRUE(read_file(on_remote("b/deep/changed")) == first + second);
    must("rm -r " + on_mount("b"));
  }
}

// While the rename waits for what was sent.
TEST_F(Rename, DirectoriesMoveThoughTheConnectionIsLost) {
  unmount();
  mount_with_fault("delay_reply_ms=300");
  must("mkdir " + on_mount("a"));
  const UniqueFd fd = open_on_mount("a/f", O_RDWR | O_CREAT);
  const std::string content(5 * kMiB + 12345, '1');
  put(fd, content);
  const pid_t renamer = ::fork();
  if (renamer == 0) {
    ::_exit(::rename(on_mount("a").c_str(), on_mount("b").c_str()));
  }
  // The rest is sent for the rename alone, and its answer is late.
  EXPECT_TRUE(wait_until([&] {
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(on_remote("a"), error)) {
      if (file.file_size(error) == content.size()) {
        return true;
      }
    }
    return false;
  }));
  sshd().kill_sessions();
  int status = 1;
  EXPECT_TRUE(wait_until([&] { return ::waitpid(renamer, &status, WNOHANG) == renamer; }));
  EXPECT_EQ(status, 0);
  ASSERT_EQ(::fsync(fd.get()), 0);
  EXPECT_TRUE(read_file(on_remote("b/f")) == content);
}

TEST_F(Rename, ExchangedDirectoriesKeepWhatIsWrittenInThem) {
  must("mkdir " + on_mount("a") + " " + on_mount("b"));
  const UniqueFd in_a = open_on_mount("a/f", O_RDWR | O_CREAT);
  const UniqueFd in_b = open_on_mount("b/f", O_RDWR | O_CREAT);
  put(in_a, std::string(kSomeSent, 'a'));
  put(in_b, "b");
  ASSERT_EQ(::renameat2(AT_FDCWD, on_mount("a").c_str(), AT_FDCWD, on_mount("b").c_str(),
                        RENAME_EXCHANGE),
            0);
  ASSERT_EQ(::fsync(in_a.get()), 0);
  ASSERT_EQ(::fsync(in_b.get()), 0);
  EXPECT_TRUE(read_file(on_remote("b/f")) == std::string(kSomeSent, 'a'));
  EXPECT_EQ(read_file(on_remote("a/f")), "b");
}

// Directories that are renamed within each other, to and fro, while files below are written.
TEST_F(Rename, DirectoriesAreRenamedByManyAtOnce) {
  must("mkdir -p " + on_mount("a/x") + " " + on_mount("a/y"));
  must("cd " + mountpoint() + " && for i in $(seq 20); do mv a b; mv b a; done & cd " +
       mountpoint() +
       " && for i in $(seq 200); do mv a/x a/z 2>/dev/null; mv a/z a/x 2>/dev/null; done &"
       " cd " +
       on_mount("a/x") + " && seq 200000 > one & cd " + on_mount("a/y") +
       " && seq 200000 > two & wait");
  for (const std::string name : {"x/one", "y/two"}) {
    EXPECT_EQ(shell("seq 200000 | cmp - " + on_remote("a/" + name)).exit_status, 0) << name;
  }
}

// They may be anywhere, or nowhere.
TEST_F(Rename, UnlinkedFilesOutliveTheirDirectory) {
  const std::string content(3 * kMiB, 'n');
  for (const std::string end : {"mv d e", "rmdir d", "mkdir e; mv -T e d"}) {
    for (const size_t sent : {size_t{5}, kSomeSent}) {
      for (const bool replaces : {false, true}) {
        must("mkdir " + on_mount("d"));
        if (replaces) {
          must("echo old > " + on_mount("d/f"));
        }
        const UniqueFd fd = open_on_mount("d/f", O_RDWR | O_CREAT | O_TRUNC);
        put(fd, std::string(sent, 's'));
        ASSERT_EQ(::unlink(on_mount("d/f").c_str()), 0);
        must("cd " + mountpoint() + " && " + end);
        EXPECT_EQ(::pwrite(fd.get(), content.data(), content.size(), 0),
                  static_cast<ssize_t>(content.size()))
            << end;
        std::string seen(content.size(), '?');
        EXPECT_EQ(::pread(fd.get(), seen.data(), seen.size(), 0),
                  static_cast<ssize_t>(seen.size()));
        EXPECT_TRUE(seen == content) << end << " " << sent;
        must("rm -rf " + on_mount("d") + " " + on_mount("e"));
      }
    }
  }
  EXPECT_TRUE(wait_until([this] { return remote_names().empty(); }));
}

// To who uses the mount a directory is empty where only a killed program's part is left in it.
TEST_F(Rename, DirectoriesWithNothingButAKilledUploadAreEmpty) {
  must("mkdir " + on_mount("d"));
  write_file(on_remote("d/.cpaway-0123456789abcdef.part"), "part");
  must("chown --reference=" + on_remote("d") + " " + on_remote("d/.cpaway-*"));
  must("rm -r " + on_mount("d"));
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
}

}  // namespace
}  // namespace cpaway::testing
