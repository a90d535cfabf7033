#include "tools/exit_code.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "engine/base/strings.h"

namespace cpaway::tools {
namespace {

// Errors of these kinds are made where the user's view is known: their context is the sentence.
bool says_it_all(Errc code) {
  return code == Errc::invalid || code == Errc::unreachable || code == Errc::host_key ||
         code == Errc::auth || code == Errc::exec;
}

}  // namespace

ExitCode connect_exit_code(const Error& error) {
  switch (error.code) {
    case Errc::unreachable:
    case Errc::timeout:
    case Errc::connection_lost:
      return ExitCode::unreachable;
    case Errc::host_key:
      return ExitCode::host_key;
    case Errc::auth:
      return ExitCode::auth;
    case Errc::os:
      return ExitCode::remote_directory;
    case Errc::exec:
    case Errc::version:
    case Errc::protocol:
      return ExitCode::agent;
    case Errc::invalid:
      return ExitCode::usage;
    case Errc::cancelled:
    case Errc::verify:
    case Errc::conflict:
    case Errc::limit:
    case Errc::unsupported:
      return ExitCode::mount_failed;
  }
  return ExitCode::mount_failed;
}

int mount8_exit_code(int code) {
  return code < to_int(ExitCode::mountpoint) ? code : to_int(ExitCode::mount_failed);
}

std::string describe(const Error& error) {
  return says_it_all(error.code) && !error.context.empty() ? error.context : error.to_string();
}

int report_failure(const Error& error, ExitCode code) {
  std::string line = concat("cpaway: ", describe(error));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  line.push_back('\n');
  static_cast<void>(std::fputs(line.c_str(), stderr));
  return to_int(code);
}

}  // namespace cpaway::tools
