// What a command on the remote host answers, past whatever its login shell prints first.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/stream.h"
#include "engine/transport/deadline.h"

namespace cpaway::client {

struct Transcript {
  std::string output;    // all that it printed: noise, then what was asked for
  bool started = false;  // the agent's start marker came, and is at the end of output
  int exit_status = 0;   // where it has not started: it has ended
  std::string said;      // its standard error, fit for a terminal

  // What follows the last `mark` in output, "" where it is missing.
  [[nodiscard]] std::string_view after(std::string_view mark) const;
};

// Reads until the agent's start marker, of which it takes the last byte and no more, or until the
// command has ended. Errc::timeout; Errc::limit beyond `max_output` bytes; or what broke the
// stream.
[[nodiscard]] Result<Transcript> run_until_agent(Stream& stream, size_t max_output,
                                                 const transport::Deadline& deadline);

// Writes `input`, closes the command's input, and reads until it has ended. Errors as above;
// `timeout_ms` is how long nothing may move.
[[nodiscard]] Result<Transcript> run_to_end(Stream& stream, ByteSpan input, size_t max_output,
                                            int64_t timeout_ms);

}  // namespace cpaway::client
