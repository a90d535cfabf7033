// Locks: one description for each owner, what waits, and who lets go when.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>

#include "engine/base/clock.h"
#include "engine/wire/lock_message.h"
#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {
namespace {

using wire::kFlock;
using wire::kLockEnd;
using wire::kPosixLock;
using wire::kReadLock;
using wire::kUnlock;
using wire::kWriteLock;

class LockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(client.hello(dir.path()));
    write_file(dir.file("f"), "0123456789");
  }
  int open_lock(uint32_t handle, uint8_t family = kPosixLock, const std::string& path = "f") {
    return errno_of(client.call(wire::OpenLock{handle, {0, path}, family}));
  }
  int lock(uint32_t handle, uint8_t type, uint64_t first = 0, uint64_t last = kLockEnd) {
    return errno_of(client.call(wire::Lock{handle, 0, type, first, last, false}));
  }
  uint32_t wait_for_lock(uint32_t handle, uint32_t ticket, uint8_t type) {
    return client.send(wire::Lock{handle, ticket, type, 0, kLockEnd, true});
  }
  int result(uint32_t id) { return errno_of(client.wait_for<wire::Lock>(id)); }
  wire::TestLock::Answer test(uint32_t handle, uint8_t type, uint64_t first, uint64_t last) {
    auto answer = client.call(wire::TestLock{handle, type, first, last});
    EXPECT_TRUE(answer);
    return answer ? *answer : wire::TestLock::Answer{};
  }
  // A program of this host, with POSIX locks of the old kind.
  static int lock_here(int fd, short type, off_t start, off_t size) {
    struct flock range {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = start;
    range.l_len = size;
    return ::fcntl(fd, F_SETLK, &range) == 0 ? 0 : errno;
  }

  const TempDir dir;
  AgentClient client;
};

TEST_F(LockTest, OwnersExcludeEachOther) {
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(open_lock(2), 0);
  EXPECT_EQ(lock(1, kWriteLock, 0, 99), 0);
  EXPECT_EQ(lock(2, kReadLock, 50, 60), EAGAIN);
  EXPECT_EQ(lock(2, kReadLock, 100, 200), 0);
  EXPECT_EQ(test(2, kWriteLock, 0, kLockEnd), (wire::TestLock::Answer{kWriteLock, 0, 99}));
  EXPECT_EQ(test(1, kReadLock, 0, kLockEnd).type, kUnlock);
  EXPECT_EQ(test(1, kWriteLock, 150, 150), (wire::TestLock::Answer{kReadLock, 100, 200}));
}

TEST_F(LockTest, PartsAreLetGoAndKindsChanged) {
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(open_lock(2), 0);
  EXPECT_EQ(lock(1, kWriteLock, 0, 99), 0);
  EXPECT_EQ(lock(1, kUnlock, 40, 59), 0);
  EXPECT_EQ(lock(2, kWriteLock, 40, 59), 0);
  EXPECT_EQ(lock(2, kReadLock, 39, 39), EAGAIN);
  EXPECT_EQ(lock(1, kReadLock, 60, 99), 0);  // less than it was
  EXPECT_EQ(lock(2, kReadLock, 60, 99), 0);
  EXPECT_EQ(lock(1, kWriteLock, 60, 60), EAGAIN);  // more again: not while another reads
  EXPECT_EQ(lock(2, kUnlock, 60, 99), 0);
  EXPECT_EQ(lock(1, kWriteLock, 60, 60), 0);
}

TEST_F(LockTest, ProgramsOfThisHostTakePart) {
  const UniqueFd here(::open(dir.file("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(lock_here(here.get(), F_WRLCK, 10, 10), 0);
  EXPECT_EQ(lock(1, kReadLock, 0, 10), EAGAIN);
  EXPECT_EQ(test(1, kReadLock, 0, kLockEnd), (wire::TestLock::Answer{kWriteLock, 10, 19}));
  EXPECT_EQ(lock(1, kWriteLock, 20, kLockEnd), 0);
  EXPECT_EQ(lock_here(here.get(), F_RDLCK, 1000, 0), EAGAIN);
  ASSERT_TRUE(client.call(wire::Close{1}));
  EXPECT_EQ(lock_here(here.get(), F_RDLCK, 1000, 0), 0);
}

// Another open and close of the same file by the agent does not end a lock.
TEST_F(LockTest, OtherHandlesDoNotMatter) {
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(lock(1, kWriteLock), 0);
  ASSERT_TRUE(open_file(client, 5, "f", wire::kOpenRead));
  ASSERT_TRUE(client.call(wire::Close{5}));
  ASSERT_EQ(open_lock(2), 0);
  EXPECT_EQ(lock(2, kReadLock), EAGAIN);
}

TEST_F(LockTest, FlocksAreAFamilyOfTheirOwn) {
  const UniqueFd here(::open(dir.file("f").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(open_lock(1, kFlock), 0);
  ASSERT_EQ(open_lock(2, kPosixLock), 0);
  ASSERT_EQ(lock(1, kWriteLock), 0);
  EXPECT_EQ(lock(2, kWriteLock), 0);
  EXPECT_EQ(::flock(here.get(), LOCK_SH | LOCK_NB), -1);
  EXPECT_EQ(lock(1, kReadLock), 0);
  EXPECT_EQ(::flock(here.get(), LOCK_SH | LOCK_NB), 0);
  EXPECT_EQ(lock(1, kWriteLock), EAGAIN);
  EXPECT_EQ(lock(1, kUnlock), 0);
  EXPECT_EQ(::flock(here.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(errno_of(client.call(wire::TestLock{1, kReadLock, 0, kLockEnd})), EINVAL);
}

// By a handle the open file is meant, whatever has its name.
TEST_F(LockTest, FollowsTheHandleAndNotTheName) {
  ASSERT_TRUE(open_file(client, 5, "f", wire::kOpenRead));
  const UniqueFd old(::open(dir.file("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::unlink(dir.file("f").c_str()), 0);
  write_file(dir.file("f"), "another");
  ASSERT_TRUE(client.call(wire::OpenLock{1, {5, ""}, kPosixLock}));
  ASSERT_EQ(lock(1, kWriteLock), 0);
  EXPECT_EQ(lock_here(old.get(), F_RDLCK, 0, 0), EAGAIN);
  const auto answer = client.call(wire::Lock{1, 0, kReadLock, 0, 0, false});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->attr.nlink, 0U);
  EXPECT_GE(answer->now.seconds, answer->attr.mtime.seconds);
}

TEST_F(LockTest, WaitsWithoutHoldingUpTheRest) {
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(lock(1, kWriteLock), 0);
  std::vector<uint32_t> waiting;
  for (uint32_t handle = 2; handle < 20; ++handle) {  // more than there are threads
    ASSERT_EQ(open_lock(handle), 0);
    waiting.push_back(wait_for_lock(handle, 1, kReadLock));
  }
  ASSERT_TRUE(client.call(wire::Ping{}));
  ASSERT_EQ(lock(1, kWriteLock, 5, 5), 0);
  const int64_t before_ms = system_clock().now_ms();
  ASSERT_EQ(lock(1, kUnlock), 0);
  for (const uint32_t id : waiting) {
    EXPECT_EQ(result(id), 0);
  }
  EXPECT_LT(system_clock().now_ms() - before_ms, 1000);
}

TEST_F(LockTest, WaitsForOtherProgramsToo) {
  const UniqueFd here(::open(dir.file("f").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(here.get(), LOCK_EX), 0);
  ASSERT_EQ(open_lock(1, kFlock), 0);
  const uint32_t id = wait_for_lock(1, 1, kWriteLock);
  ASSERT_TRUE(client.call(wire::Ping{}));
  ASSERT_EQ(::flock(here.get(), LOCK_UN), 0);
  EXPECT_EQ(result(id), 0);
  EXPECT_EQ(::flock(here.get(), LOCK_SH | LOCK_NB), -1);
}

TEST_F(LockTest, StopsWaiting) {
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(open_lock(2), 0);
  ASSERT_EQ(open_lock(3), 0);
  ASSERT_EQ(lock(1, kReadLock), 0);
  const uint32_t first = wait_for_lock(2, 7, kWriteLock);
  const uint32_t second = wait_for_lock(2, 8, kWriteLock);
  const uint32_t third = wait_for_lock(3, 7, kWriteLock);
  ASSERT_TRUE(client.call(wire::CancelLock{2, 7}));
  EXPECT_EQ(result(first), EINTR);
  ASSERT_TRUE(client.call(wire::CancelLock{2, 7}));  // it may have been answered meanwhile
  ASSERT_TRUE(client.call(wire::Close{2}));
  EXPECT_EQ(result(second), EINTR);
  ASSERT_TRUE(client.call(wire::Close{1}));
  EXPECT_EQ(result(third), 0);
}

TEST_F(LockTest, EndsWithTheConnection) {
  const UniqueFd here(::open(dir.file("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(open_lock(1), 0);
  ASSERT_EQ(open_lock(2), 0);
  ASSERT_EQ(lock(1, kWriteLock), 0);
  wait_for_lock(2, 1, kWriteLock);
  EXPECT_TRUE(client.finish());
  EXPECT_EQ(lock_here(here.get(), F_WRLCK, 0, 0), 0);
}

TEST_F(LockTest, RefusesWhatIsNoLock) {
  EXPECT_EQ(open_lock(1, 2), EINVAL);
  EXPECT_EQ(lock(1, kReadLock), EINVAL);  // open_lock's error
  EXPECT_EQ(lock(9, kReadLock), EBADF);
  EXPECT_EQ(open_lock(2, kPosixLock, "missing"), ENOENT);
  EXPECT_EQ(open_lock(3, kFlock, ""), EINVAL);  // the directory
  ASSERT_TRUE(open_file(client, 4, "f", wire::kOpenRead));
  EXPECT_EQ(lock(4, kReadLock), EINVAL);
  ASSERT_EQ(open_lock(5), 0);
  EXPECT_EQ(lock(5, 3), EINVAL);
  EXPECT_EQ(lock(5, kReadLock, 5, 4), EINVAL);
  EXPECT_EQ(lock(5, kReadLock, 0, kLockEnd + 1), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::TestLock{5, kUnlock, 0, 1})), EINVAL);
}

TEST_F(LockTest, ReadOnlyKeysTakeReadLocks) {
  agent::Options options;
  options.mode = agent::Mode::read_only;
  AgentClient reader(options);
  ASSERT_TRUE(reader.hello(dir.path()));
  ASSERT_TRUE(reader.call(wire::OpenLock{1, {0, "f"}, kPosixLock}));
  EXPECT_TRUE(reader.call(wire::Lock{1, 0, kReadLock, 0, 9, false}));
  EXPECT_EQ(errno_of(reader.call(wire::Lock{1, 0, kWriteLock, 0, 9, false})), EBADF);
}

// After a lost connection the new agent makes the old one let go.
TEST_F(LockTest, ASuccessorTakesOver) {
  const auto opened = client.call(wire::OpenLock{1, {0, "f"}, kPosixLock});
  ASSERT_TRUE(opened);
  ASSERT_NE(opened->successor_name, "");
  ASSERT_EQ(lock(1, kWriteLock), 0);
  AgentClient successor;
  ASSERT_TRUE(successor.hello(dir.path()));
  ASSERT_TRUE(successor.call(wire::OpenLock{1, {0, "f"}, kPosixLock}));
  const wire::Lock wanted{1, 0, kWriteLock, 0, kLockEnd, false};
  EXPECT_EQ(errno_of(successor.call(wanted)), EAGAIN);
  ASSERT_TRUE(successor.call(wire::TakeOver{"cpaway-agent-00000000000000000000000000000000"}));
  ASSERT_TRUE(successor.call(wire::TakeOver{"somebody"}));
  EXPECT_EQ(errno_of(successor.call(wanted)), EAGAIN);
  ASSERT_TRUE(successor.call(wire::TakeOver{opened->successor_name}));
  EXPECT_EQ(errno_of(successor.call(wanted)), 0);
  // The old one has ended by itself.
  EXPECT_FALSE(client.wait_any());
}

// A client that was cut off without a word does not keep others out for ever.
TEST_F(LockTest, ASilentClientIsGivenUp) {
  agent::Options options;
  options.lock_lease_ms = 100;
  AgentClient silent(options);
  ASSERT_TRUE(silent.hello(dir.path()));
  ASSERT_TRUE(silent.call(wire::OpenLock{1, {0, "f"}, kPosixLock}));
  ASSERT_TRUE(silent.call(wire::Lock{1, 0, kWriteLock, 0, kLockEnd, false}));
  ASSERT_EQ(open_lock(1), 0);
  EXPECT_EQ(lock(1, kReadLock), EAGAIN);
  EXPECT_FALSE(silent.wait_any());  // it has ended
  EXPECT_TRUE(wait_until([this] { return lock(1, kReadLock) == 0; }));
}

}  // namespace
}  // namespace cpaway::testing
