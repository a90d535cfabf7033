// What went wrong, in one closed vocabulary.
//
// An Error is an Errc, the operating system's errno where one is known, and text that grows as the
// error travels up ("rename a -> b: ..."). Translation to and from other vocabularies happens in
// three places only: here (from errno), wire/status (to and from the peer), fs/errno_map (to the
// kernel). Errors are values; no code of ours throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cpaway {

// Closed: wire/status gives each of these a number on the wire, and a test counts them.
enum class Errc : uint16_t {
  os = 1,           // os_errno says what
  invalid,          // the caller's argument or option is wrong
  protocol,         // the peer sent bytes that the protocol does not allow
  version,          // no common protocol version
  connection_lost,  // the link or the process at its other end is gone
  timeout,          // a deadline passed
  cancelled,        // given up on request of the caller
  verify,           // bytes read back are not the bytes that were sent
  conflict,         // the remote file was changed by someone meanwhile
  unreachable,      // no connection could be made
  host_key,         // the host's key is unknown or not the remembered one
  auth,             // no login
  exec,             // the remote side does not run our agent
  limit,            // one of our own bounds was reached
  unsupported,      // the other side, or this build, cannot do it
};

struct [[nodiscard]] Error {
  Errc code = Errc::os;
  int os_errno = 0;  // of Linux; 0 unless code is os
  std::string context;

  // "context: what happened", one line, without a full stop.
  [[nodiscard]] std::string to_string() const;
};

[[nodiscard]] Error os_error(int os_errno, std::string context);
[[nodiscard]] Error make_error(Errc code, std::string context);
[[nodiscard]] Error with_context(Error error, std::string_view context);
[[nodiscard]] std::string_view errc_name(Errc code);

// True where the same request may succeed on a new connection. Asked by client/session and upload.
[[nodiscard]] bool is_retryable(const Error& error);

}  // namespace cpaway
