// Whether the key that a host shows is the one that known_hosts remembers.
#pragma once

#include "engine/transport/ssh_config.h"

namespace cpaway::transport {

// After the key exchange. Errc::host_key says what is wrong and what to do; the time that the
// person is asked (HostKeyCheck::ask) is added to `deadline`.
[[nodiscard]] Status check_host_key(const SshSession& session, const LoginOptions& options,
                                    const Target& target, const Prompter& prompter,
                                    Deadline& deadline);

}  // namespace cpaway::transport
