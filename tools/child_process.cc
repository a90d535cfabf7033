#include "tools/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/strings.h"

namespace cpaway::tools {
namespace {

constexpr size_t kMaxErrorText = 4096;
constexpr int kReapTimeoutMs = 1000;
constexpr int kCannotRun = 127;

int exit_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int exec_program(const std::vector<std::string>& words, int error_fd) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  dup2(error_fd, STDERR_FILENO);
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  return kCannotRun;
}

// Up to the end of the pipe, or until the time is over; reads on past what is kept.
std::string read_text(int fd, int64_t deadline_ms) {
  std::string text;
  std::array<char, 1024> block;
  while (true) {
    const int64_t left_ms = deadline_ms - system_clock().now_ms();
    pollfd ready = {fd, POLLIN, 0};
    if (left_ms <= 0 || poll(&ready, 1, static_cast<int>(left_ms)) <= 0) {
      return text;
    }
    const ssize_t count = read(fd, block.data(), block.size());
    if (count <= 0) {
      return text;
    }
    const size_t room = kMaxErrorText - text.size();
    text.append(block.data(), std::min(static_cast<size_t>(count), room));
  }
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid < 0) {
    return fail_os(errno, "fork");
  }
  if (pid == 0) {
    _exit(body());
  }
  return ChildProcess(pid, open_pid(pid));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pid_fd_(std::move(other.pid_fd_)) {}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    static_cast<void>(wait(kReapTimeoutMs));
  }
}

std::optional<int> ChildProcess::wait(int timeout_ms) {
  int status = 0;
  if (pid_ < 0 || !wait_for_exit(pid_fd_.get(), timeout_ms) || waitpid(pid_, &status, 0) != pid_) {
    return std::nullopt;
  }
  pid_ = -1;
  return exit_status(status);
}

bool wait_for_exit(int pid_fd, int timeout_ms) {
  const int64_t deadline_ms = system_clock().now_ms() + timeout_ms;
  pollfd ended = {pid_fd, POLLIN, 0};
  while (true) {
    const int64_t left_ms = std::max<int64_t>(deadline_ms - system_clock().now_ms(), 0);
    const int count = poll(&ended, 1, static_cast<int>(left_ms));
    if (count != -1 || errno != EINTR) {
      return count == 1;
    }
  }
}

UniqueFd open_pid(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

Result<ProgramResult> run_program(const std::vector<std::string>& words, int timeout_ms) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail_os(errno, "pipe");
  }
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const int64_t deadline_ms = system_clock().now_ms() + timeout_ms;
  CPAWAY_ASSIGN(ChildProcess child,
                ChildProcess::start([&] { return exec_program(words, to.get()); }));
  to.reset();
  ProgramResult result;
  result.error_text = read_text(from.get(), deadline_ms);
  const int64_t left_ms = std::max<int64_t>(deadline_ms - system_clock().now_ms(), 0);
  const auto status = child.wait(static_cast<int>(left_ms));
  if (!status) {
    return fail(Errc::timeout, words[0]);
  }
  if (*status == kCannotRun) {
    return fail_os(ENOENT, concat("cannot run ", words[0]));
  }
  result.status = *status;
  return result;
}

}  // namespace cpaway::tools
