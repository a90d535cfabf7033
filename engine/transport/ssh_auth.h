// Logging in over a libssh session: public keys, keyboard-interactive, password.
#pragma once

#include "engine/transport/ssh_session.h"

namespace cpaway::transport {

// Errc::auth: "user@host: permission denied (publickey,password)". Errc::invalid names an identity
// file that cannot be read. The time of prompts is added to `deadline`.
[[nodiscard]] Status log_in(SshSession& session, const LoginOptions& options,
                            const std::string& user, const Prompter& prompter, Deadline& deadline);

}  // namespace cpaway::transport
