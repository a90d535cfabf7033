// Parts of files: holes, room, copies on the remote side, links of open files. What the mount says
// is compared with the remote directory itself.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"
#include "tests/e2e/transfer_report.h"

namespace cpaway::testing {
namespace {

constexpr off_t kMiB = 1 << 20;
constexpr off_t kGiB = 1 << 30;

class Data : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      mount();
    }
  }
  static void put(const UniqueFd& fd, std::string_view text, off_t offset) {
    EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), offset),
              static_cast<ssize_t>(text.size()));
  }
  static struct stat stat_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
    return st;
  }
  static off_t on_disk(const std::string& path) { return stat_of(path).st_blocks * 512; }
  static nlink_t links_of(const UniqueFd& fd) {
    struct stat st {};
    EXPECT_EQ(::fstat(fd.get(), &st), 0);
    return st.st_nlink;
  }
  static int error_of(int result) { return result == 0 ? 0 : errno; }
  // 64 KiB at 1 MiB and at the end of 8 MiB.
  std::string make_sparse() {
    const std::string path = local("sparse");
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    put(fd, std::string(65536, 'a'), kMiB);
    put(fd, std::string(65536, 'b'), 8 * kMiB - 65536);
    return path;
  }
  void expect_same(const std::string& name) {
    EXPECT_EQ(sha256_of_file(on_mount(name)), sha256_of_file(on_remote(name)));
    EXPECT_EQ(stat_of(on_mount(name)).st_size, stat_of(on_remote(name)).st_size);
    // A filesystem may give a file a block more for where its blocks lie when it writes them, and
    // the mount remembers attributes for a second.
    EXPECT_TRUE(wait_until([&] {
      return stat_of(on_mount(name)).st_blocks == stat_of(on_remote(name)).st_blocks;
    })) << stat_of(on_mount(name)).st_blocks;
  }
};

TEST_F(Data, HolesAreFoundAsOnTheRemoteHost) {
  must("cp --sparse=never " + make_sparse() + " " + local("full") + " && cp --sparse=always " +
       local("full") + " " + on_remote("f") + " && chmod 666 " + on_remote("f"));
  const UniqueFd fd = open_on_mount("f", O_RDWR);
  const UniqueFd real(::open(on_remote("f").c_str(), O_RDONLY | O_CLOEXEC));
  for (const off_t at : {off_t{0}, kMiB, kMiB + 100, 2 * kMiB, 8 * kMiB - 1}) {
    EXPECT_EQ(::lseek(fd.get(), at, SEEK_DATA), ::lseek(real.get(), at, SEEK_DATA)) << at;
    EXPECT_EQ(::lseek(fd.get(), at, SEEK_HOLE), ::lseek(real.get(), at, SEEK_HOLE)) << at;
  }
  EXPECT_EQ(::lseek(fd.get(), 8 * kMiB, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
  put(fd, "in place", 4 * kMiB);  // not acknowledged yet
  EXPECT_EQ(::lseek(fd.get(), 2 * kMiB, SEEK_DATA), 4 * kMiB);
}

TEST_F(Data, HolesOfAFileThatIsBeingWrittenAreFound) {
  const UniqueFd fd = open_on_mount("f", O_RDWR | O_CREAT);
  put(fd, "data", 65536);
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_DATA), 65536);  // all of it is still here
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_HOLE), 0);
  EXPECT_EQ(::lseek(fd.get(), 65536, SEEK_HOLE), 65540);
  put(fd, std::string(4096, 'x'), 4 * kMiB);
  ASSERT_EQ(::ftruncate(fd.get(), 8 * kMiB), 0);
  EXPECT_EQ(::lseek(fd.get(), kMiB, SEEK_DATA), 4 * kMiB);
  EXPECT_EQ(::lseek(fd.get(), 4 * kMiB, SEEK_HOLE), 4 * kMiB + 4096);
  EXPECT_EQ(::lseek(fd.get(), 6 * kMiB, SEEK_HOLE), 6 * kMiB);
  EXPECT_EQ(::lseek(fd.get(), 6 * kMiB, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
  EXPECT_FALSE(::access(on_remote("f").c_str(), F_OK) == 0);  // nothing was committed for it
}

TEST_F(Data, SparseFilesStaySparseBothWaysAndWithin) {
  const std::string file = make_sparse();
  must("cp " + file + " " + on_mount("in"));
  EXPECT_LT(on_disk(on_remote("in")), kMiB);
  must("cp -a " + on_mount("in") + " " + local("out"));
  EXPECT_LT(on_disk(local("out")), kMiB);
  must("cp " + on_mount("in") + " " + on_mount("within"));
  EXPECT_LT(on_disk(on_remote("within")), kMiB);
  must("truncate -s 1M " + on_mount("empty"));
  EXPECT_EQ(stat_of(on_remote("empty")).st_size, kMiB);
  EXPECT_EQ(on_disk(on_remote("empty")), 0);
  for (const std::string& path : {on_remote("in"), local("out"), on_remote("within")}) {
    EXPECT_EQ(sha256_of_file(path), sha256_of_file(file)) << path;
  }
}

TEST_F(Data, AllocatesPunchesAndZeroesAsTheRemoteFilesystem) {
  write_remote("f", std::string(100'000, 'z'));
  std::string expected(100'000, 'z');
  const UniqueFd fd = open_on_mount("f", O_RDWR);
  EXPECT_EQ(read_file(on_mount("f")), expected);  // in the page cache
  put(fd, "new", 5000);                           // under way
  EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4096, 8192), 0);
  EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 50'000, 1000), 0);
  EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_ZERO_RANGE, 99'000, 2000), 0);
  std::fill_n(expected.begin() + 4096, 8192, '\0');
  std::fill_n(expected.begin() + 50'000, 1000, '\0');
  expected.resize(99'000);
  expected.resize(101'000, '\0');
  EXPECT_EQ(read_file(on_mount("f")), expected);
  expect_same("f");
  EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 4 * kMiB), 0);
  EXPECT_GE(on_disk(on_mount("f")), 4 * kMiB);
  expect_same("f");
  EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, 0, 8 * kMiB), 0);
  EXPECT_EQ(::fallocate(fd.get(), 0, 0, 200'000), 0);
  EXPECT_EQ(stat_of(on_mount("f")).st_size, 200'000);
  expect_same("f");
  EXPECT_EQ(error_of(::fallocate(fd.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096)), EOPNOTSUPP);
  EXPECT_EQ(error_of(::fallocate(fd.get(), 0, INT64_MAX - 5000, 4096)), EFBIG);
}

// Refused before anything is allocated: else the attempt takes what others need meanwhile.
TEST_F(Data, AllocatingMoreThanThereIsLeavesTheRoomToOthers) {
  write_remote("f", "small");
  const UniqueFd fd = open_on_mount("f", O_RDWR);
  struct statvfs space {};
  ASSERT_EQ(::statvfs(on_remote("").c_str(), &space), 0);
  const auto too_much = static_cast<off_t>((space.f_bfree + 100'000) * space.f_frsize);
  EXPECT_EQ(error_of(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, too_much)), ENOSPC);
  EXPECT_LT(on_disk(on_remote("f")), kMiB);
}

TEST_F(Data, AFileThatIsBeingWrittenIsAllocatedAsAWhole) {
  write_remote("f", "old");
  {
    const UniqueFd fd = open_on_mount("f", O_RDWR | O_TRUNC);
    put(fd, std::string(3 * kMiB, 'z'), 0);
    EXPECT_EQ(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4096, 2 * kMiB), 0);
    EXPECT_EQ(::fallocate(fd.get(), 0, 0, 5 * kMiB), 0);
    struct stat st {};
    ASSERT_EQ(::fstat(fd.get(), &st), 0);
    EXPECT_EQ(st.st_size, 5 * kMiB);
    put(fd, "end", 4 * kMiB);
    std::string expected(5 * kMiB, '\0');
    std::fill_n(expected.begin(), 4096, 'z');
    std::fill(expected.begin() + 4096 + 2 * kMiB, expected.begin() + 3 * kMiB, 'z');
    expected.replace(4 * kMiB, 3, "end");
    EXPECT_EQ(read_file(on_mount("f")), expected);
    EXPECT_EQ(read_file(on_remote("f")), "old");
    write_file(local("expected"), expected);
  }
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(local("expected")));
  expect_same("f");
}

TEST_F(Data, CopiesWithinTheMountMoveNoContent) {
  must("head -c 64M /dev/urandom > " + on_remote("a") + " && chmod 666 " + on_remote("a"));
  must("cp " + on_mount("a") + " " + on_mount("b"));
  EXPECT_EQ(sha256_of_file(on_remote("b")), sha256_of_file(on_remote("a")));
  const Transfer transfer = last_transfer(mountpoint(), local("state"));
  EXPECT_EQ(transfer.bytes_sent, 0U);
  EXPECT_EQ(transfer.bytes_matched, 64U * kMiB);
  EXPECT_EQ(sha256_on_mount("b"), sha256_of_file(on_remote("a")));
  must("cp --reflink=auto " + on_mount("a") + " " + on_mount("b"));  // over the old version
  EXPECT_EQ(sha256_of_file(on_remote("b")), sha256_of_file(on_remote("a")));
}

TEST_F(Data, CopiesRangesBetweenOpenFiles) {
  write_remote("a", std::string(100'000, 'a'));
  write_remote("b", std::string(100'000, 'b'));
  const UniqueFd a = open_on_mount("a", O_RDWR);
  const UniqueFd b = open_on_mount("b", O_RDWR);
  put(a, "new", 1000);  // under way
  EXPECT_EQ(read_file(on_mount("b")), std::string(100'000, 'b'));
  off64_t from = 1000;
  off64_t to = 50'000;
  EXPECT_EQ(::copy_file_range(a.get(), &from, b.get(), &to, 60'000, 0), 60'000);
  std::string expected(50'000, 'b');
  expected += "new" + std::string(59'997, 'a');
  EXPECT_EQ(read_file(on_mount("b")), expected);
  expect_same("b");
  from = 0;
  to = 10;
  EXPECT_EQ(::copy_file_range(b.get(), &from, b.get(), &to, 100, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  to = 200;
  EXPECT_EQ(::copy_file_range(b.get(), &from, b.get(), &to, 100, 0), 100);
  expect_same("b");
}

// As a write that fails: the old version stays.
TEST_F(Data, ACopyThatFindsNoRoomCommitsNothing) {
  ASSERT_EQ(::mkdir(on_remote("small").c_str(), 0755), 0);
  ASSERT_EQ(::mount("tmpfs", on_remote("small").c_str(), "tmpfs", 0, "size=8m,mode=777"), 0);
  must("head -c 20M /dev/urandom > " + on_remote("a") + " && chmod 666 " + on_remote("a"));
  must("echo old > " + on_mount("small/f"));
  const Finished cp = run_command({"cp", on_mount("a"), on_mount("small/f")});
  EXPECT_EQ(cp.exit_status, 1);
  EXPECT_NE(cp.err.find("No space left on device"), std::string::npos) << cp.err;
  EXPECT_EQ(read_file(on_remote("small/f")), "old\n");
  must("truncate -s 3M " + on_remote("a") + " && cp " + on_mount("a") + " " + on_mount("small/f"));
  EXPECT_EQ(sha256_of_file(on_remote("small/f")), sha256_of_file(on_remote("a")));
  unmount();
  EXPECT_TRUE(wait_until([this] { return ::umount(on_remote("small").c_str()) == 0; }));
}

TEST_F(Data, CopiesFromAFileThatIsBeingWritten) {
  const UniqueFd a = open_on_mount("a", O_RDWR | O_CREAT);
  const std::string text(3 * kMiB, 'x');
  put(a, text, 0);
  const UniqueFd b = open_on_mount("b", O_RDWR | O_CREAT);
  off64_t from = 0;
  EXPECT_GT(::copy_file_range(a.get(), &from, b.get(), nullptr, text.size(), 0), 0);
  EXPECT_EQ(read_file(on_mount("b")), text.substr(0, static_cast<size_t>(from)));
}

TEST_F(Data, LinksOfOpenFilesAreCounted) {
  write_remote("old", "old");
  const UniqueFd created = open_on_mount("f", O_RDWR | O_CREAT);
  put(created, "x", 0);
  ASSERT_EQ(::unlink(on_mount("f").c_str()), 0);
  EXPECT_EQ(links_of(created), 0U);
  const UniqueFd truncated = open_on_mount("old", O_RDWR | O_TRUNC);
  put(truncated, "x", 0);
  ASSERT_EQ(::unlink(on_mount("old").c_str()), 0);
  EXPECT_EQ(links_of(truncated), 0U);

  write_remote("a", "a");
  ASSERT_EQ(::link(on_remote("a").c_str(), on_remote("b").c_str()), 0);
  const UniqueFd a = open_on_mount("a", O_RDONLY);
  EXPECT_EQ(links_of(a), 2U);
  ASSERT_EQ(::unlink(on_mount("a").c_str()), 0);
  EXPECT_EQ(links_of(a), 1U);
  write_remote("c", "c");
  ASSERT_EQ(::rename(on_mount("c").c_str(), on_mount("b").c_str()), 0);
  EXPECT_EQ(links_of(a), 0U);

  const UniqueFd staged = open_on_mount("s", O_RDWR | O_CREAT);
  put(staged, "x", 0);
  ASSERT_EQ(::rename(on_mount("b").c_str(), on_mount("s").c_str()), 0);
  EXPECT_EQ(links_of(staged), 0U);
}

TEST_F(Data, AHugeHoleCostsNothing) {
  const auto start = std::chrono::steady_clock::now();
  {
    const UniqueFd fd = open_on_mount("f", O_RDWR | O_CREAT);
    put(fd, "E", 5 * kGiB);
  }
  {
    const UniqueFd fd = open_on_mount("g", O_RDWR | O_CREAT);
    put(fd, "start", 0);
    ASSERT_EQ(::ftruncate(fd.get(), kGiB), 0);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(stat_of(on_remote("f")).st_size, 5 * kGiB + 1);
  EXPECT_EQ(stat_of(on_remote("g")).st_size, kGiB);
  EXPECT_LT(on_disk(on_remote("f")), kMiB);
  const UniqueFd fd = open_on_mount("f", O_RDONLY);
  char bytes[2] = {'x', 'x'};
  EXPECT_EQ(::pread(fd.get(), bytes, 2, 5 * kGiB - 1), 2);
  EXPECT_EQ(std::string_view(bytes, 2), std::string_view("\0E", 2));
}

TEST_F(Data, WhatNoFileCanHoldIsRefusedAtOnce) {
  constexpr off_t kTooFar = INT64_MAX - 5000;
  const UniqueFd real(::open(local("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  write_remote("old", "old");
  for (const char* name : {"f", "old"}) {
    const UniqueFd fd = open_on_mount(name, O_RDWR | (name[0] == 'f' ? O_CREAT : 0));
    put(fd, "kept", 0);
    for (const off_t at : {kTooFar, off_t{INT64_MAX - 1}}) {
      const ssize_t there = ::pwrite(real.get(), "xx", 2, at);
      const int expected = there < 0 ? errno : 0;
      EXPECT_EQ(::pwrite(fd.get(), "xx", 2, at), -1);
      EXPECT_EQ(errno, expected);
    }
    EXPECT_EQ(error_of(::ftruncate(fd.get(), INT64_MAX)), EFBIG);
    EXPECT_EQ(error_of(::fsync(fd.get())), 0);
    struct stat st {};
    ASSERT_EQ(::fstat(fd.get(), &st), 0);
    EXPECT_EQ(st.st_size, 4);
  }
  EXPECT_EQ(read_file(on_remote("f")), "kept");
  EXPECT_EQ(read_file(on_remote("old")), "kept");
}

// By root on the mount, whom the kernel here would let keep them: the remote user is another.
TEST_F(Data, SetUserIdGoesWithTheContent) {
  for (const char* change : {"echo x >> ", "truncate -s 1 ", "echo new > "}) {
    write_remote("f", "content");
    ASSERT_EQ(::chmod(on_remote("f").c_str(), 06755), 0);
    must(change + on_mount("f"));
    EXPECT_EQ(shell("stat -c %a " + on_remote("f")).out, "755\n") << change;
    EXPECT_TRUE(wait_until([this] { return shell("stat -c %a " + on_mount("f")).out == "755\n"; }))
        << change;
    must("rm " + on_mount("f"));
  }
}

}  // namespace
}  // namespace cpaway::testing
