// Asking the person at the terminal: a password, a host key.
#pragma once

#include "engine/transport/transport.h"

namespace cpaway::tools {

// Asks on the controlling terminal, whatever standard input is; nobody can be asked without one.
// Secrets are not shown while they are typed, and a signal that ends the process meanwhile leaves
// the terminal as it was.
[[nodiscard]] transport::Prompter terminal_prompter();

// The first line of `fd`, without its end, byte by byte: nothing behind it is taken. Errors: no
// line there, or one over 4 KiB.
[[nodiscard]] Result<std::string> read_secret_line(int fd);

}  // namespace cpaway::tools
