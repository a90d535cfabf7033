// A TCP connection to a name, within a deadline.
//
// Rejected: libssh's own connect, which tries only the first address of a name when it does not
// block, and does not say what went wrong.
#pragma once

#include <string>

#include "engine/base/fd.h"
#include "engine/base/result.h"
#include "engine/transport/deadline.h"

namespace cpaway::transport {

// Non-blocking, close-on-exec, without Nagle's delay. Errc::unreachable, with a whole sentence:
// "cannot reach HOST port N: connection refused".
[[nodiscard]] Result<UniqueFd> tcp_connect(const std::string& host, unsigned port,
                                           const Deadline& deadline);

}  // namespace cpaway::transport
