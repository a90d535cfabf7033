#include "engine/transport/child_stream.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "tests/support/run_command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::transport {
namespace {

Result<std::unique_ptr<ChildStream>> shell(const std::string& script) {
  return ChildStream::spawn({"/bin/sh", "-c", script}, nullptr);
}

TEST(ChildStream, RunsACommandToItsEnd) {
  const auto finished = testing::run_command({"sh", "-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(finished.exit_status, 3);
  EXPECT_EQ(finished.out, "out\n");
  EXPECT_EQ(finished.err, "err\n");
}

TEST(ChildStream, TellsTheSignal) {
  EXPECT_EQ(testing::run_command({"sh", "-c", "kill -KILL $$"}).exit_status, 128 + SIGKILL);
}

TEST(ChildStream, NamesAMissingProgram) {
  const auto child = ChildStream::spawn({"no-such-program", "x"}, nullptr);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, Errc::invalid);
  EXPECT_EQ(child.error().context, "cannot run no-such-program: No such file or directory");
}

TEST(ChildStream, InheritsNothingButItsThreeStreams) {
  const int leaked = dup(STDERR_FILENO);  // without close-on-exec
  const auto finished = testing::run_command({"sh", "-c", "ls /proc/$$/fd"});
  close(leaked);
  EXPECT_EQ(finished.out, "0\n1\n2\n");
}

TEST(ChildStream, IgnoresTheSignalsOfTheTerminal) {
  const auto finished =
      testing::run_command({"sh", "-c", "kill -INT $$; kill -HUP $$; kill -QUIT $$; echo alive"});
  EXPECT_EQ(finished.out, "alive\n");
}

TEST(ChildStream, ReplacesControlCharactersOfItsErrors) {
  auto child = shell("printf 'a\\033[1mb\\n' >&2");
  ASSERT_TRUE(child);
  EXPECT_TRUE(testing::wait_until([&] { return (*child)->exit_status().has_value(); }));
  EXPECT_EQ((*child)->take_stderr(), "a?[1mb");
}

TEST(ChildStream, WriteAfterTheEndIsLostConnectionAndNoSignal) {
  auto child = shell("exit 0");
  ASSERT_TRUE(child);
  EXPECT_TRUE(testing::wait_until([&] { return (*child)->exit_status().has_value(); }));
  const auto written = (*child)->write_some(as_bytes("x"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::connection_lost);
}

TEST(ChildStream, DestructionEndsAChildThatIgnoresEverything) {
  testing::TempDir dir;
  auto child = shell("trap '' TERM; echo $$ > " + dir.file("pid") + "; while :; do sleep 1; done");
  ASSERT_TRUE(child);
  ASSERT_TRUE(testing::wait_until([&] { return !testing::read_file(dir.file("pid")).empty(); }));
  const pid_t pid = std::stoi(testing::read_file(dir.file("pid")));
  const auto began = std::chrono::steady_clock::now();
  child->reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(4));
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace cpaway::transport
