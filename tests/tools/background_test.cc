#include "tools/background.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "engine/base/bytes.h"

namespace cpaway::tools {
namespace {

// The whole in a process of its own, since run_in_background returns in both of its processes.
template <class Serve>
int run_in_child(Serve serve) {
  const pid_t pid = fork();
  if (pid == 0) {
    _exit(run_in_background(serve));
  }
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

TEST(Background, TheFirstProcessEndsWhenTheSecondIsReady) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const int status = run_in_child([&to](Background& background) {
    if (!background.detach(false)) {
      return 1;
    }
    usleep(200'000);
    const std::string text = getsid(0) == getpid() ? "leader" : "other";
    return write_full(to.get(), as_bytes(text)) ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  to.reset();
  Bytes text(100);
  const auto count = read_full(from.get(), text);
  ASSERT_TRUE(count);
  EXPECT_EQ(as_text(text).substr(0, *count), "leader");
}

TEST(Background, AFailureBeforeThatIsItsExitCode) {
  const int status = run_in_child([](Background& /*background*/) { return 6; });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 6);
}

TEST(Background, ACrashBeforeThatIsAFailure) {
  const int status = run_in_child([](Background& /*background*/) {
    kill(getpid(), SIGKILL);
    return 0;
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 32);
}

TEST(Background, ASignalEndsBoth) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    _exit(run_in_background([&to](Background& /*background*/) {
      static_cast<void>(write_full(to.get(), as_bytes("s")));
      pause();
      return 0;
    }));
  }
  to.reset();
  Bytes byte(1);
  ASSERT_EQ(read_full(from.get(), byte).value_or(0), 1U);  // the second process is waiting
  kill(pid, SIGTERM);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT_EQ(read_full(from.get(), byte).value_or(1), 0U);  // and has ended
}

}  // namespace
}  // namespace cpaway::tools
