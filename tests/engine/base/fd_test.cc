#include "engine/base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

TEST(UniqueFd, ClosesWhatItOwns) {
  const int raw = ::open("/dev/null", O_RDONLY);
  {
    UniqueFd fd(raw);
    UniqueFd moved(std::move(fd));
    EXPECT_EQ(moved.get(), raw);
    UniqueFd assigned;
    EXPECT_FALSE(assigned);
    assigned = std::move(moved);
    EXPECT_TRUE(assigned);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
}

TEST(Fd, TransfersAllThroughAPipe) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd from(fds[0]);
  UniqueFd to(fds[1]);
  const Bytes sent(300'000, 'x');
  std::thread writer([&] {
    EXPECT_TRUE(write_full(to.get(), sent));
    to.reset();
  });
  Bytes got(400'000);
  EXPECT_EQ(read_full(from.get(), got).value(), sent.size());  // up to the end
  writer.join();
}

TEST(Fd, ReadsAndWritesAtAnOffset) {
  const TempDir dir;
  const UniqueFd fd(::open(dir.file("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_TRUE(pwrite_full(fd.get(), as_bytes("text"), 10));
  Bytes got(8);
  EXPECT_EQ(pread_full(fd.get(), got, 8).value(), 6U);
  EXPECT_EQ(as_text(ByteSpan(got).first(6)), std::string_view("\0\0text", 6));
}

TEST(Fd, ReportsTheErrno) {
  Bytes buffer(1);
  EXPECT_EQ(read_full(-1, buffer).error().os_errno, EBADF);
  EXPECT_EQ(write_full(-1, buffer).error().os_errno, EBADF);
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(write_full(full.get(), buffer).error().os_errno, ENOSPC);
}

}  // namespace
}  // namespace cpaway::testing
