#include "engine/transport/child_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/transport/deadline.h"

namespace cpaway::transport {
namespace {

constexpr int kPipeSize = 1 << 20;
constexpr int kGraceMs = 1000;

// The parent's end and the child's.
struct Ends {
  UniqueFd ours;
  UniqueFd theirs;
};

// The child's end must survive dup2 onto 0, 1 and 2.
Status lift(UniqueFd& fd) {
  if (fd.get() > STDERR_FILENO) {
    return {};
  }
  const int lifted = fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (lifted < 0) {
    return fail_os(errno, "fcntl");
  }
  fd.reset(lifted);
  return {};
}

Result<Ends> output_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0) {
    return fail_os(errno, "pipe");
  }
  Ends ends{UniqueFd(fds[0]), UniqueFd(fds[1])};
  fcntl(fds[0], F_SETPIPE_SZ, kPipeSize);  // a smaller one works too
  CPAWAY_TRY(lift(ends.theirs));
  CPAWAY_TRY(set_nonblocking(ends.ours.get()));
  return ends;
}

Result<Ends> input_socket() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
    return fail_os(errno, "socketpair");
  }
  Ends ends{UniqueFd(fds[0]), UniqueFd(fds[1])};
  setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &kPipeSize, sizeof kPipeSize);
  CPAWAY_TRY(lift(ends.theirs));
  CPAWAY_TRY(set_nonblocking(ends.ours.get()));
  return ends;
}

struct ChildSetup {
  std::vector<char*> argv;  // null-terminated
  int input;
  int output;
  int errors;
  int failure;  // gets the errno of a failed exec; closes on exec
};

// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void run_child(const ChildSetup& setup) {
  struct sigaction action {};
  for (const int number : {SIGINT, SIGQUIT, SIGHUP}) {
    action.sa_handler = SIG_IGN;
    sigaction(number, &action, nullptr);
  }
  for (const int number : {SIGPIPE, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2}) {
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(setup.input, STDIN_FILENO);
  dup2(setup.output, STDOUT_FILENO);
  dup2(setup.errors, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
  execvp(setup.argv[0], setup.argv.data());
  const int failure = errno;
  [[maybe_unused]] const ssize_t n = write(setup.failure, &failure, sizeof failure);
  _exit(127);
}

// glibc's pidfd_open cannot be called from C++ before 2.37.
int open_process(pid_t pid) {
  return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

int status_of(const siginfo_t& info) {
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

Result<std::unique_ptr<ChildStream>> ChildStream::spawn(const std::vector<std::string>& argv,
                                                        EndError end_error) {
  CHECK(!argv.empty());
  CPAWAY_ASSIGN(Ends input, input_socket());
  CPAWAY_ASSIGN(Ends output, output_pipe());
  CPAWAY_ASSIGN(Ends errors, output_pipe());
  CPAWAY_ASSIGN(Ends failure, output_pipe());
  ChildSetup setup{
      {}, input.theirs.get(), output.theirs.get(), errors.theirs.get(), failure.theirs.get()};
  for (const std::string& word : argv) {
    setup.argv.push_back(const_cast<char*>(word.c_str()));
  }
  setup.argv.push_back(nullptr);

  std::unique_ptr<ChildStream> child(new ChildStream(std::move(end_error)));
  child->pid_ = fork();
  if (child->pid_ < 0) {
    return fail_os(errno, "fork");
  }
  if (child->pid_ == 0) {
    run_child(setup);
  }
  child->process_.reset(open_process(child->pid_));
  child->input_ = std::move(input.ours);
  child->output_ = std::move(output.ours);
  child->errors_ = std::move(errors.ours);
  failure.theirs.reset();
  pollfd exec_done{failure.ours.get(), POLLIN, 0};
  while (poll(&exec_done, 1, -1) < 0 && errno == EINTR) {
  }
  int failed_errno = 0;
  if (read(failure.ours.get(), &failed_errno, sizeof failed_errno) == sizeof failed_errno) {
    return fail(Errc::invalid, concat("cannot run ", argv[0], ": ", std::strerror(failed_errno)));
  }
  return child;
}

ChildStream::~ChildStream() {
  if (pid_ < 0) {
    return;
  }
  input_.reset();
  output_.reset();
  errors_.reset();
  if (reap_within(kGraceMs)) {
    return;
  }
  kill(pid_, SIGTERM);
  if (reap_within(kGraceMs)) {
    return;
  }
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status ChildStream::wait(bool want_write, int wake_fd, int timeout_ms) {
  const Deadline deadline(timeout_ms);
  while (!ended()) {
    // poll(2) skips negative descriptors.
    std::array<pollfd, 5> fds{{{output_.get(), POLLIN, 0},
                               {want_write ? input_.get() : -1, POLLOUT, 0},
                               {wake_fd, POLLIN, 0},
                               {errors_.get(), POLLIN, 0},
                               {output_ ? -1 : process_.get(), POLLIN, 0}}};
    const int left_ms = timeout_ms < 0 ? -1 : deadline.left_ms();
    const int ready = poll(fds.data(), fds.size(), left_ms);
    if (ready < 0 && errno != EINTR) {
      return fail_os(errno, "poll");
    }
    if (ready > 0 && fds[3].revents != 0) {
      drain_stderr();
    }
    if (ready > 0 && fds[4].revents != 0) {
      try_reap();
    }
    if (ready > 0 && (fds[0].revents | fds[1].revents | fds[2].revents) != 0) {
      break;
    }
    if (left_ms >= 0 && deadline.passed()) {
      break;
    }
  }
  return {};
}

Result<size_t> ChildStream::read_some(std::span<uint8_t> into) {
  if (output_) {
    const ssize_t n = read(output_.get(), into.data(), into.size());
    if (n > 0) {
      printed_ = true;
      return static_cast<size_t>(n);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
      return 0;
    }
    if (n < 0) {
      return fail_os(errno, "read");
    }
    output_.reset();
  }
  try_reap();
  if (!exit_status_) {
    return 0;
  }
  drain_stderr();
  return fail(end_error());
}

Error ChildStream::end_error() {
  const End end{*exit_status_, stderr_.raw(), printed_};
  if (end_error_) {
    return end_error_(end);
  }
  return make_error(Errc::connection_lost, concat("the program ended with ", *exit_status_));
}

Result<size_t> ChildStream::write_some(ByteSpan from) {
  if (!input_) {
    return fail(Errc::connection_lost, "the input of the program is closed");
  }
  const ssize_t n = send(input_.get(), from.data(), from.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n >= 0) {
    return static_cast<size_t>(n);
  }
  if (errno == EAGAIN || errno == EINTR) {
    return 0;
  }
  return fail(Errc::connection_lost, "the program does not read any more");
}

std::string ChildStream::take_stderr() {
  drain_stderr();
  return stderr_.take();
}

std::optional<int> ChildStream::exit_status() {
  try_reap();
  return exit_status_;
}

void ChildStream::drain_stderr() {
  std::array<uint8_t, 4096> buffer;
  while (errors_) {
    const ssize_t n = read(errors_.get(), buffer.data(), buffer.size());
    if (n > 0) {
      stderr_.append(ByteSpan(buffer).first(static_cast<size_t>(n)));
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      return;
    } else {
      errors_.reset();
    }
  }
}

void ChildStream::try_reap() {
  if (exit_status_) {
    return;
  }
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) < 0) {
    exit_status_ = 255;  // somebody else reaped it
    pid_ = -1;
  } else if (info.si_pid == pid_) {
    exit_status_ = status_of(info);
    pid_ = -1;
  }
}

bool ChildStream::reap_within(int timeout_ms) {
  pollfd process{process_.get(), POLLIN, 0};
  const Deadline deadline(timeout_ms);
  while (poll(&process, 1, deadline.left_ms()) < 0 && errno == EINTR) {
  }
  try_reap();
  return exit_status_.has_value();
}

}  // namespace cpaway::transport
