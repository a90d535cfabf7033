// The pieces between reader and pool: byte budget, id table, reply writer.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "engine/agent/byte_budget.h"
#include "engine/agent/id_table.h"
#include "engine/agent/reply_writer.h"
#include "tests/engine/agent/agent_client.h"

namespace cpaway::testing {
namespace {

TEST(ByteBudget, WaitsUntilThereIsRoom) {
  agent::ByteBudget budget(100);
  budget.take(60);
  budget.take(40);
  std::atomic<bool> taken{false};
  std::thread waiter([&] {
    budget.take(50);
    taken = true;
  });
  budget.give_back(40);  // 60 used: 50 do not fit yet
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(taken);
  budget.give_back(60);
  waiter.join();
  EXPECT_TRUE(taken);
}

TEST(ByteBudget, LetsAnOversizedRequestThroughAlone) {
  agent::ByteBudget budget(100);
  budget.take(1000);
  budget.give_back(1000);
  budget.take(100);
}

TEST(IdTable, KeepsItemsAndFailures) {
  Executor executor("test", 1);
  agent::IdTable<int> table("number", executor);
  EXPECT_EQ(errno_of(table.check_free(0)), EINVAL);
  ASSERT_TRUE(table.check_free(5));
  table.add(5, std::make_shared<int>(50));
  table.add(6, fail_os(ENOENT, "six"));
  EXPECT_EQ(errno_of(table.check_free(5)), EINVAL);
  EXPECT_EQ(errno_of(table.check_free(6)), EINVAL);
  EXPECT_EQ(**table.find(5), 50);
  EXPECT_EQ(errno_of(table.find(6)), ENOENT);
  EXPECT_EQ(errno_of(table.find(7)), EBADF);
  EXPECT_TRUE(table.strand(6));
  EXPECT_FALSE(table.strand(7));
  EXPECT_EQ(**table.remove(5), 50);
  EXPECT_EQ(*table.remove(6), nullptr);
  EXPECT_EQ(errno_of(table.remove(6)), EBADF);
}

TEST(IdTable, IsBounded) {
  Executor executor("test", 1);
  agent::IdTable<int> table("number", executor);
  for (uint32_t id = 1; id <= agent::kMaxIds; ++id) {
    table.add(id, fail_os(ENOENT, ""));
  }
  EXPECT_EQ(table.check_free(agent::kMaxIds + 1).error().code, Errc::limit);
  EXPECT_TRUE(table.remove(1));
  EXPECT_TRUE(table.check_free(agent::kMaxIds + 1));
}

// Frames from several threads into a small, non-blocking pipe arrive whole.
TEST(ReplyWriter, NeverMixesFrames) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd from(pipe_fds[0]);
  const UniqueFd to(pipe_fds[1]);
  ASSERT_TRUE(set_nonblocking(to.get()));
  constexpr int kThreads = 4;
  constexpr int kFrames = 50;
  {
    agent::ReplyWriter writer(to.get());
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&writer, t] {
        const auto byte = static_cast<uint8_t>('a' + t);
        for (int i = 0; i < kFrames; ++i) {
          writer.send({Bytes(3, byte), shared(Bytes(10000, byte))});
        }
      });
    }
    Bytes frame(10003);
    for (int i = 0; i < kThreads * kFrames; ++i) {
      ASSERT_EQ(read_full(from.get(), frame).value(), frame.size());
      EXPECT_EQ(std::count(frame.begin(), frame.end(), frame[0]), 10003);
    }
    for (auto& thread : threads) {
      thread.join();
    }
  }
}

TEST(ReplyWriter, DropsFramesOnceTheClientHasGone) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  UniqueFd from(pipe_fds[0]);
  const UniqueFd to(pipe_fds[1]);
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  agent::ReplyWriter writer(to.get());
  from.reset();
  EXPECT_FALSE(writer.broken());
  writer.send({Bytes(10), nullptr});
  EXPECT_TRUE(writer.broken());
  writer.send({Bytes(10), nullptr});
  ::signal(SIGPIPE, before);
}

}  // namespace
}  // namespace cpaway::testing
