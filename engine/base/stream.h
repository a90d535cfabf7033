// A two-way byte stream to a process at the other end: an SSH channel, or pipes to a child.
//
// One thread uses a stream at a time; nothing here blocks but wait(). Rejected: a stream per
// direction, since libssh drives both from one session.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace cpaway {

class Stream {
 public:
  virtual ~Stream() = default;

  // Returns when bytes can be read (or the end was reached), when `want_write` and bytes can be
  // written, when `wake_fd` (or -1) is readable, or after `timeout_ms` (-1: never).
  [[nodiscard]] virtual Status wait(bool want_write, int wake_fd, int timeout_ms) = 0;

  // As many bytes as are there, 0 where none are yet. Errc::connection_lost at the end.
  [[nodiscard]] virtual Result<size_t> read_some(std::span<uint8_t> into) = 0;

  // Takes as many bytes as there is room for, 0 where there is none now.
  [[nodiscard]] virtual Result<size_t> write_some(ByteSpan from) = 0;

  // The process at the other end reads end-of-file after what was written.
  virtual void close_write() = 0;

  // What the other end printed on its standard error since the last call: at most 4 KiB kept,
  // control characters replaced, since a terminal will show it.
  [[nodiscard]] virtual std::string take_stderr() = 0;

  // Where the process has ended and said so. 128 + n for signal n.
  [[nodiscard]] virtual std::optional<int> exit_status() = 0;
};

}  // namespace cpaway
