// The address of the control socket. A state directory's path may be longer than the 108 bytes of
// sun_path, so it is named through the directory's descriptor.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "engine/base/fd.h"
#include "engine/base/result.h"

namespace cpaway::tools {

inline constexpr const char* kControlSocketName = "control.sock";

[[nodiscard]] sockaddr_un control_address(int directory);
// A stream socket that is closed on exec.
[[nodiscard]] Result<UniqueFd> open_control_socket();
// Reads and writes give up after `timeout_ms`.
[[nodiscard]] Status limit_transfers(int socket, int timeout_ms);

}  // namespace cpaway::tools
