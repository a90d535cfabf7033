#include "engine/base/error.h"

#include <cstring>

#include "engine/base/strings.h"

namespace cpaway {

std::string_view errc_name(Errc code) {
  switch (code) {
    case Errc::os:
      return "system error";
    case Errc::invalid:
      return "invalid argument";
    case Errc::protocol:
      return "protocol error";
    case Errc::version:
      return "no common protocol version";
    case Errc::connection_lost:
      return "connection lost";
    case Errc::timeout:
      return "timed out";
    case Errc::cancelled:
      return "cancelled";
    case Errc::verify:
      return "verification failed";
    case Errc::conflict:
      return "changed on the remote host meanwhile";
    case Errc::unreachable:
      return "host cannot be reached";
    case Errc::host_key:
      return "host key verification failed";
    case Errc::auth:
      return "authentication failed";
    case Errc::exec:
      return "the agent cannot be run";
    case Errc::limit:
      return "limit reached";
    case Errc::unsupported:
      return "not supported";
  }
  return "unknown error";
}

std::string Error::to_string() const {
  char buffer[128];
  const std::string_view what =
      code == Errc::os ? strerror_r(os_errno, buffer, sizeof buffer) : errc_name(code);
  return context.empty() ? std::string(what) : concat(context, ": ", what);
}

Error os_error(int os_errno, std::string context) {
  return Error{Errc::os, os_errno, std::move(context)};
}

Error make_error(Errc code, std::string context) {
  return Error{code, 0, std::move(context)};
}

Error with_context(Error error, std::string_view context) {
  error.context =
      error.context.empty() ? std::string(context) : concat(context, ": ", error.context);
  return error;
}

bool is_retryable(const Error& error) {
  return error.code == Errc::connection_lost || error.code == Errc::timeout;
}

}  // namespace cpaway
