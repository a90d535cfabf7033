// The user's own ssh program as a transport: for what libssh lacks (certificates, FIDO keys,
// ProxyJump chains, connection sharing). It logs in anew for each command.
#pragma once

#include <memory>

#include "engine/transport/transport.h"

namespace cpaway::transport {

// Errc::invalid where the options cannot be put on its command line. `may_ask`: somebody sits at
// the terminal, on which the program asks by itself.
[[nodiscard]] Result<std::unique_ptr<Transport>> ssh_program(const LoginOptions& options,
                                                             bool may_ask);

}  // namespace cpaway::transport
