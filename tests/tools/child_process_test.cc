#include "tools/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "engine/base/clock.h"

namespace cpaway::tools {
namespace {

TEST(ChildProcess, GivesTheExitStatus) {
  auto child = ChildProcess::start([] { return 7; });
  ASSERT_TRUE(child);
  EXPECT_EQ(child->wait(10'000), 7);
}

TEST(ChildProcess, KillsWhatRunsTooLong) {
  const int64_t start_ms = system_clock().now_ms();
  {
    auto child = ChildProcess::start([] { return pause(); });
    ASSERT_TRUE(child);
    EXPECT_FALSE(child->wait(50).has_value());
  }
  EXPECT_LT(system_clock().now_ms() - start_ms, 10'000);
}

TEST(OpenPid, EndedProcessesAreNone) {
  auto child = ChildProcess::start([] { return pause(); });
  ASSERT_TRUE(child);
  EXPECT_TRUE(open_pid(getpid()));
  EXPECT_FALSE(wait_for_exit(open_pid(getpid()).get(), 10));
  EXPECT_FALSE(open_pid(1 << 30));
}

TEST(RunProgram, KeepsTheStatusAndWhatWasSaid) {
  const auto result = run_program({"sh", "-c", "echo out; echo wrong >&2; exit 3"}, 10'000);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 3);
  EXPECT_EQ(result->error_text, "wrong\n");
}

TEST(RunProgram, KeepsNoMoreThanAPage) {
  const auto result = run_program({"sh", "-c", "yes 12345678 | head -n 9999 >&2"}, 10'000);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 0);
  EXPECT_EQ(result->error_text.size(), 4096U);
}

TEST(RunProgram, SaysWhatCannotRunAndWhatRunsTooLong) {
  const auto missing = run_program({"no-such-program-here"}, 10'000);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().context, ::testing::HasSubstr("no-such-program-here"));
  const auto slow = run_program({"sleep", "100"}, 50);
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().code, Errc::timeout);
}

}  // namespace
}  // namespace cpaway::tools
