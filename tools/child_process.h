// A child process that is waited for with a limit, and killed where it exceeds it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/fd.h"
#include "engine/base/result.h"

namespace cpaway::tools {

class ChildProcess {
 public:
  // Forks; `body`'s value is the child's exit status. For processes that have no threads yet, or
  // a body that only makes system calls.
  [[nodiscard]] static Result<ChildProcess> start(const std::function<int()>& body);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  // Kills what still runs. One that is stuck in the kernel is left to init.
  ~ChildProcess();

  // The exit status, 128 + n for signal n; nothing where it runs on after `timeout_ms`.
  [[nodiscard]] std::optional<int> wait(int timeout_ms);

 private:
  explicit ChildProcess(pid_t pid, UniqueFd pid_fd) : pid_(pid), pid_fd_(std::move(pid_fd)) {}

  pid_t pid_ = -1;  // -1 once reaped or moved from
  UniqueFd pid_fd_;
};

// True once the process behind a pidfd has ended; false where it has not after `timeout_ms`.
[[nodiscard]] bool wait_for_exit(int pid_fd, int timeout_ms);
// Invalid where there is no such process.
[[nodiscard]] UniqueFd open_pid(pid_t pid);

struct ProgramResult {
  int status = 0;
  std::string error_text;  // its standard error, at most 4 KiB
};

// Runs a program found in PATH, with nothing on its standard input. Errors: it cannot be run, or
// runs longer than `timeout_ms`.
[[nodiscard]] Result<ProgramResult> run_program(const std::vector<std::string>& words,
                                                int timeout_ms);

}  // namespace cpaway::tools
