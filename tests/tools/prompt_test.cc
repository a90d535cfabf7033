#include "tools/prompt.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "engine/base/fd.h"

namespace cpaway::tools {
namespace {

UniqueFd pipe_holding(const std::string& text) {
  std::array<int, 2> ends;
  EXPECT_EQ(pipe(ends.data()), 0);
  const UniqueFd to(ends[1]);
  EXPECT_TRUE(write_full(to.get(), as_bytes(text)));
  return UniqueFd(ends[0]);
}

TEST(ReadSecretLine, TakesOneLineAndNoMore) {
  const UniqueFd from = pipe_holding("secret\nrest");
  EXPECT_EQ(read_secret_line(from.get()).value_or("?"), "secret");
  EXPECT_EQ(read_secret_line(from.get()).value_or("?"), "rest");
  EXPECT_FALSE(read_secret_line(from.get()));
}

TEST(ReadSecretLine, HasALimit) {
  const UniqueFd from = pipe_holding(std::string(8000, 'x'));
  EXPECT_FALSE(read_secret_line(from.get()));
}

// Runs `child` with a terminal of its own; gives the terminal's other end.
template <class Child>
pid_t fork_with_terminal(UniqueFd& terminal, Child child) {
  int master = -1;
  const pid_t pid = forkpty(&master, nullptr, nullptr, nullptr);
  if (pid == 0) {
    _exit(child());
  }
  terminal.reset(master);
  return pid;
}

std::string read_until(int fd, const std::string& word) {
  std::string text;
  std::array<char, 256> block;
  while (text.find(word) == std::string::npos) {
    const ssize_t count = read(fd, block.data(), block.size());
    if (count <= 0) {
      break;
    }
    text.append(block.data(), static_cast<size_t>(count));
  }
  return text;
}

bool echoes(int fd) {
  termios settings = {};
  EXPECT_EQ(tcgetattr(fd, &settings), 0);
  return (settings.c_lflag & ECHO) != 0;
}

TEST(TerminalPrompter, HidesSecretsAndPutsTheTerminalBack) {
  UniqueFd terminal;
  const pid_t pid = fork_with_terminal(terminal, [] {
    const auto answer = terminal_prompter()("Password: ", false);
    return answer == "secret" ? 0 : 1;
  });
  EXPECT_NE(read_until(terminal.get(), "Password: ").find("Password: "), std::string::npos);
  EXPECT_FALSE(echoes(terminal.get()));
  ASSERT_TRUE(write_full(terminal.get(), as_bytes("secret\n")));
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(echoes(terminal.get()));
  EXPECT_EQ(read_until(terminal.get(), "\n").find("secret"), std::string::npos);
}

TEST(TerminalPrompter, AnInterruptEndsTheProcessAndShowsInputAgain) {
  UniqueFd terminal;
  const pid_t pid = fork_with_terminal(terminal, [] {
    static_cast<void>(signal(SIGINT, SIG_DFL));  // whoever runs the tests may ignore it
    static_cast<void>(terminal_prompter()("Password: ", false));
    return 0;
  });
  read_until(terminal.get(), "Password: ");
  ASSERT_TRUE(write_full(terminal.get(), as_bytes("\x03")));
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(echoes(terminal.get()));
}

TEST(TerminalPrompter, NobodyCanBeAskedWithoutATerminal) {
  const pid_t pid = fork();
  if (pid == 0) {
    setsid();
    _exit(terminal_prompter()("Password: ", false).has_value() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace cpaway::tools
