// A Stream to a child process over its standard input, output and error.
//
// The child keeps the terminal, so that ssh can ask for a password there, but ignores the signals
// that the terminal sends to everyone (Ctrl-C, hang-up): the mount decides when it ends. Its input
// is a socket, since writing to a pipe whose reader has gone raises SIGPIPE. Rejected: a process
// group of its own, which a terminal stops as soon as it reads a password.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/fd.h"
#include "engine/base/stream.h"
#include "engine/transport/terminal_text.h"

namespace cpaway::transport {

class ChildStream : public Stream {
 public:
  struct End {
    int exit_status;   // as Stream::exit_status
    std::string said;  // the newest 4 KiB of its standard error, as it came
    bool printed;      // it printed something on its standard output
  };
  // What read_some says when the child has ended.
  using EndError = std::function<Error(const End&)>;

  // Errc::invalid where there is no such program (found in PATH). `end_error` may be null.
  [[nodiscard]] static Result<std::unique_ptr<ChildStream>> spawn(
      const std::vector<std::string>& argv, EndError end_error);
  // Closes the pipes, waits up to a second, then terminates and at last kills the child.
  ~ChildStream() override;

  Status wait(bool want_write, int wake_fd, int timeout_ms) override;
  // The end is seen when the output is at its end and the child has gone.
  Result<size_t> read_some(std::span<uint8_t> into) override;
  Result<size_t> write_some(ByteSpan from) override;
  void close_write() override { input_.reset(); }
  std::string take_stderr() override;
  std::optional<int> exit_status() override;

 private:
  explicit ChildStream(EndError end_error) : end_error_(std::move(end_error)) {}
  void drain_stderr();
  void try_reap();
  bool reap_within(int timeout_ms);
  [[nodiscard]] bool ended() const { return !output_ && exit_status_.has_value(); }
  [[nodiscard]] Error end_error();

  EndError end_error_;
  UniqueFd input_;    // empty after close_write
  UniqueFd output_;   // empty after its end
  UniqueFd errors_;   // empty after its end
  UniqueFd process_;  // pidfd
  pid_t pid_ = -1;
  StderrTail stderr_;
  bool printed_ = false;
  std::optional<int> exit_status_;
};

}  // namespace cpaway::transport
