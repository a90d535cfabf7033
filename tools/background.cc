#include "tools/background.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "engine/base/strings.h"
#include "tools/exit_code.h"

namespace cpaway::tools {
namespace {

constexpr std::array kEndingSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

volatile sig_atomic_t child_pid = 0;
volatile sig_atomic_t ended_by = 0;

void forward_signal(int number) {
  ended_by = number;
  if (child_pid > 0) {
    kill(child_pid, number);
  }
}

void set_signal_actions(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  for (const int number : kEndingSignals) {
    sigaction(number, &action, nullptr);
  }
}

bool was_told(int fd) {
  char word = 0;
  ssize_t count = 0;
  do {
    count = read(fd, &word, 1);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

// The first process: until the second is ready or has ended.
int wait_for_second(pid_t pid, int fd) {
  if (was_told(fd)) {
    return to_int(ExitCode::ok);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (ended_by != 0) {
    set_signal_actions(SIG_DFL);
    raise(ended_by);
  }
  if (WIFEXITED(status)) {
    return WEXITSTATUS(status);
  }
  return report_failure(
      make_error(Errc::invalid, concat("the mount's process ended by signal ", WTERMSIG(status))),
      ExitCode::mount_failed);
}

Status close_standard_streams(bool keep_stderr) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) {
    return fail_os(errno, "/dev/null");
  }
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const bool keep = keep_stderr && fd == STDERR_FILENO;
    if (!keep && dup2(null.get(), fd) < 0) {
      return fail_os(errno, "/dev/null");
    }
  }
  return {};
}

}  // namespace

Status Background::detach(bool keep_stderr) {
  if (!waiting_) {
    return {};
  }
  if (chdir("/") != 0) {
    return fail_os(errno, "/");
  }
  static_cast<void>(setsid());
  CPAWAY_TRY(close_standard_streams(keep_stderr));
  prctl(PR_SET_PDEATHSIG, 0);
  Status told = write_full(waiting_.get(), as_bytes("r"));
  waiting_.reset();
  return told;
}

int run_in_background(const std::function<int(Background&)>& serve) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return report_failure(os_error(errno, "pipe"), ExitCode::system);
  }
  UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  set_signal_actions(forward_signal);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return report_failure(os_error(errno, "fork"), ExitCode::system);
  }
  if (pid > 0) {
    child_pid = pid;
    if (ended_by != 0) {
      kill(pid, ended_by);
    }
    to.reset();
    return wait_for_second(pid, from.get());
  }
  set_signal_actions(SIG_DFL);
  from.reset();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent || ended_by != 0) {
    return to_int(ExitCode::mount_failed);
  }
  Background background(std::move(to));
  return serve(background);
}

int run_in_foreground(const std::function<int(Background&)>& serve) {
  Background background{UniqueFd()};
  return serve(background);
}

}  // namespace cpaway::tools
