// LoginOptions and ssh_config, laid into a libssh session: what is given explicitly wins.
#pragma once

#include "engine/transport/ssh_session.h"

namespace cpaway::transport {

// Errc::invalid names a file that cannot be read, or an option that libssh does not take.
[[nodiscard]] Status configure(SshSession& session, const LoginOptions& options);

// After configure(): what ssh_config made of them.
struct Target {
  std::string host;
  unsigned port = 22;
  std::string user;
  bool by_proxy = false;  // libssh runs ProxyCommand; there is no socket to make
};
[[nodiscard]] Target configured_target(const SshSession& session);

// With a leading "~/" made a path.
[[nodiscard]] std::string expand_home(const std::string& path);
// The file's text, of 16 MiB at most; "" where it cannot be read.
[[nodiscard]] std::string read_text(const std::string& path);
// StrictHostKeyChecking, which libssh does not tell: from options, else from ssh_config (but not
// from its Match and Include lines), else strict.
[[nodiscard]] HostKeyCheck host_key_check(const LoginOptions& options);

}  // namespace cpaway::transport
