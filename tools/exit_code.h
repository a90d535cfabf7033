// Exit codes of the programs, as man/cpaway.1 lists them, and the one line that goes with a
// failure.
#pragma once

#include <string>

#include "engine/base/error.h"

namespace cpaway::tools {

enum class ExitCode : int {
  ok = 0,
  usage = 1,             // a word or an option is wrong
  system = 2,            // this host: no /dev/fuse, no memory, no state directory
  mountpoint = 3,        // missing, not a directory, not empty, already (or not) mounted, busy
  unreachable = 4,       // the host does not answer
  host_key = 5,          // its key is unknown or not the remembered one
  auth = 6,              // no login
  remote_directory = 7,  // missing, not a directory, not permitted
  agent = 8,             // the agent cannot be run there, or does not speak our version
  mount_failed = 32,     // anything else that kept the mount from being made or served
};

[[nodiscard]] constexpr int to_int(ExitCode code) {
  return static_cast<int>(code);
}

// What client::Session::connect's error means to the caller of the program.
[[nodiscard]] ExitCode connect_exit_code(const Error& error);

// The code that mount(8) expects of its helpers: 1 and 2 mean the same there, the rest is 32.
[[nodiscard]] int mount8_exit_code(int code);

// The error as a user should read it: without the kind where the context is a sentence already.
[[nodiscard]] std::string describe(const Error& error);

// Prints "cpaway: <error>" as one line on standard error and gives the code back as a number.
int report_failure(const Error& error, ExitCode code);

}  // namespace cpaway::tools
