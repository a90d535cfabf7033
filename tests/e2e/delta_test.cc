// What travels when a file is copied again, and what the remote host sees meanwhile.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "engine/base/fd.h"
#include "tests/e2e/transfer_report.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMiB = 1UL << 20U;
constexpr uint64_t kLittle = 200'000;  // bytes: an edit or two, and not a file

class Delta : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
    }
  }
  // Overwrites, inserts and removes some bytes of a local file.
  static void edit(const std::string& file) {
    must("dd if=/dev/urandom of=" + file +
         " bs=1000 count=1 seek=3000 conv=notrunc 2>/dev/null"
         " && { head -c 6000000 " +
         file + "; echo inserted; tail -c +6005000 " + file + "; } > " + file + ".new && cp " +
         file + ".new " + file + " && rm " + file + ".new");
  }
  void expect_same(const std::string& name, const std::string& file) {
    EXPECT_EQ(sha256_of_file(on_remote(name)), sha256_of_file(file));
    EXPECT_EQ(sha256_of_file(on_mount(name)), sha256_of_file(file));
  }
  Transfer copy(const std::string& command, const std::string& file, const std::string& name) {
    must(command + " " + file + " " + on_mount(name));
    return last_transfer(mountpoint(), local("state"));
  }
  void forget() {
    unmount();
    must("rm -r " + local("state") + "/*/store");
    mount();
  }
};

TEST_F(Delta, EditedFileSendsTheEdit) {
  const std::string file = make_file("f", 12 * kMiB);
  EXPECT_GE(copy("cp", file, "f").bytes_sent, 12 * kMiB);
  edit(file);
  Transfer transfer = copy("cp", file, "f");
  EXPECT_LT(transfer.bytes_sent, kLittle);
  EXPECT_GT(transfer.bytes_matched, 11 * kMiB);
  expect_same("f", file);
  forget();
  edit(file);
  transfer = copy("cp", file, "f");
  EXPECT_LT(transfer.bytes_sent, kLittle);
  expect_same("f", file);
}

TEST_F(Delta, IdenticalFileIsNotWritten) {
  const std::string file = make_file("f", 5 * kMiB);
  copy("cp", file, "f");
  struct stat before {};
  struct stat after {};
  ASSERT_EQ(::stat(on_remote("f").c_str(), &before), 0);
  const Transfer transfer = copy("cp", file, "f");
  EXPECT_LT(transfer.bytes_sent, 20'000U);
  EXPECT_EQ(transfer.state, "committed");
  ASSERT_EQ(::stat(on_remote("f").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_TRUE(after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
              after.st_mtim.tv_nsec != before.st_mtim.tv_nsec);
  must("touch -d 2001-02-03 " + file + " && cp -p " + file + " " + on_mount("f"));
  EXPECT_EQ(shell("stat -c %Y " + on_remote("f")).out, shell("stat -c %Y " + file).out);
  expect_same("f", file);
}

TEST_F(Delta, ProgramsThatUnlinkOrRenameSendLittleToo) {
  const std::string file = make_file("f", 12 * kMiB);
  copy("cp", file, "f");
  for (const char* command : {"install -m 640", "mv -f", "rsync -t"}) {
    edit(file);
    must("cp -p " + file + " " + local("next"));
    const Transfer transfer = copy(command, local("next"), "f");
    EXPECT_LT(transfer.bytes_sent, kLittle) << command;
    expect_same("f", file);
  }
}

TEST_F(Delta, KilledMvLeavesTheOldFile) {
  const std::string file = make_file("f", 5 * kMiB);
  copy("cp", file, "f");
  const std::string old = sha256_of_file(on_remote("f"));
  make_file("g", 300 * kMiB);
  const pid_t mv = spawn({"mv", "-f", local("g"), on_mount("f")});
  EXPECT_TRUE(wait_until([this] { return staged_bytes() > 4 * kMiB; }));
  ASSERT_EQ(::kill(mv, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(mv, &status, 0), mv);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(sha256_of_file(on_remote("f")), old);
  EXPECT_TRUE(wait_until([&] { return sha256_of_file(on_mount("f")) == old; }));
  discard_checkpoints();
}

// Such a file is written past the page cache, in which the old version is.
TEST_F(Delta, LargeFileIsReadAsItIsWritten) {
  copy("cp", make_file("old", 20 * kMiB), "f");
  const std::string name = on_mount("f");
  static_cast<void>(sha256_of_file(name));
  ASSERT_EQ(::prctl(PR_SET_NAME, "cp"), 0);
  UniqueFd fd(::open(name.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  ASSERT_TRUE(fd);
  const UniqueFd reader(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  std::string expected;
  for (const char fill : {'a', 'b', 'c'}) {
    const std::string part(kMiB + 1000, fill);
    const size_t at = expected.size() / 2;
    ASSERT_EQ(::pwrite(fd.get(), part.data(), part.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(part.size()));
    expected.resize(std::max(expected.size(), at + part.size()));
    expected.replace(at, part.size(), part);
    std::string seen(expected.size() + 1, '?');
    ASSERT_EQ(::pread(reader.get(), seen.data(), seen.size(), 0),
              static_cast<ssize_t>(expected.size()));
    seen.pop_back();
    EXPECT_TRUE(seen == expected) << "after " << fill;
  }
  fd.reset();
  ASSERT_EQ(::prctl(PR_SET_NAME, "cpaway_e2e_test"), 0);
  EXPECT_TRUE(read_file(name) == expected);
  EXPECT_TRUE(read_file(on_remote("f")) == expected);
}

TEST_F(Delta, UnlinkByMvIsCarriedOutWhereNothingFollows) {
  const std::string file = make_file("f", 1 * kMiB);
  must("mkdir " + on_mount("d"));
  copy("cp", file, "d/f");
  must("mv " + on_mount("d") + " " + local("out"));  // out of the mount: unlinks, then rmdir
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
  EXPECT_EQ(sha256_of_file(local("out/f")), sha256_of_file(file));
  copy("cp", file, "f");
  must("mv " + on_mount("f") + " " + local("f2"));
  EXPECT_NE(::access(on_mount("f").c_str(), F_OK), 0);
  EXPECT_TRUE(wait_until([this] { return remote_names().empty(); }));
}

TEST_F(Delta, KnownContentIsFoundUnderAnotherName) {
  const std::string file = make_file("f", 12 * kMiB);
  copy("cp", file, "f");
  EXPECT_LT(copy("cp", file, "copy").bytes_sent, kLittle);
  expect_same("copy", file);
  must("mv " + on_mount("f") + " " + on_mount("moved"));
  edit(file);
  EXPECT_LT(copy("cp", file, "moved").bytes_sent, kLittle);
  expect_same("moved", file);
}

TEST_F(Delta, TextIsCompressed) {
  must("seq 1 700000 > " + local("f"));
  const auto size = std::filesystem::file_size(local("f"));
  EXPECT_LT(copy("cp", local("f"), "f").bytes_sent, size / 2);
  expect_same("f", local("f"));
}

TEST_F(Delta, ChangesInPlaceSendInProportion) {
  const std::string file = make_file("f", 12 * kMiB);
  copy("cp", file, "f");
  for (const std::string& target : {file, on_mount("f")}) {
    must("echo more >> " + target);
    must("dd if=/etc/services of=" + target +
         " bs=4096 count=1 seek=1000 conv=notrunc 2>/dev/null");
    must("truncate -s 11000000 " + target);
  }
  expect_same("f", file);
}

TEST_F(Delta, RemoteChangeIsNoticed) {
  const std::string file = make_file("f", 5 * kMiB);
  copy("cp", file, "f");
  write_remote("f", "someone else's");
  must("cp " + file + " " + on_mount("f"));
  expect_same("f", file);
}

// Though the agent hears of the unlink later.
TEST_F(Delta, AFileThatWasUnlinkedHasNoName) {
  unmount();
  mount("copy_programs=cpaway_e2e_test");
  write_remote("f", "content");
  const UniqueFd fd = open_on_mount("f", O_RDONLY);
  ASSERT_EQ(::unlink(on_mount("f").c_str()), 0);
  struct stat st {};
  ASSERT_EQ(::fstat(fd.get(), &st), 0);
  EXPECT_EQ(st.st_nlink, 0U);
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_EQ(::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, on_mount("g").c_str(), AT_SYMLINK_FOLLOW),
            -1);
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace cpaway::testing
