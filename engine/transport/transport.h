// How to run a command on the remote host: libssh in this process, or the user's own ssh program.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/stream.h"

namespace cpaway::transport {

// One login (or, for a program, the recipe of one). One thread uses it and its streams at a time;
// they may move to another thread together between calls. Streams go before their transport.
class Transport {
 public:
  virtual ~Transport() = default;
  // Starts `command` under the remote user's login shell. Waits at most until the login's
  // deadline. Errc::exec where the server refuses to run commands.
  [[nodiscard]] virtual Result<std::unique_ptr<Stream>> exec(const std::string& command) = 0;
};

// Asks the person at the terminal. `echo` false for secrets. Nothing where nobody can be asked.
using Prompter = std::function<std::optional<std::string>(const std::string& prompt, bool echo)>;

enum class HostKeyCheck {
  strict,      // yes (default): unknown and changed keys refuse
  accept_new,  // unknown ones are remembered, changed ones refuse
  ask,         // unknown ones are shown to the user, through the Prompter
  off,         // no: unknown ones are remembered; changed ones still refuse
};

struct LoginOptions {
  std::string host;         // a name, an address, or an alias in ssh_config
  std::string user;         // "" for ssh_config's or the local user
  int port = 0;             // 0 for ssh_config's or 22
  std::string config_file;  // -F; "" for ~/.ssh/config and /etc/ssh/ssh_config; "none" for none
  std::vector<std::string> identity_files;
  std::string known_hosts_file;                // "" for ssh's own
  std::optional<HostKeyCheck> host_key_check;  // nothing: ssh_config's, else strict
  std::optional<std::string> password;   // from password_stdin; tried for both password methods
  bool compress = false;                 // of the SSH layer
  std::string ssh_command;               // not "": run this program (words split at spaces) instead
  std::vector<std::string> ssh_options;  // further "Key=Value", for ssh_command only
  int64_t timeout_ms = 8000;  // for connecting, key exchange and login, each prompt not counted
};

// Connects, checks the host key, logs in. Errors: unreachable, host_key, auth, timeout, invalid;
// each a line that names the host and says what to do. A program (ssh_command) logs in at exec.
[[nodiscard]] Result<std::unique_ptr<Transport>> connect(const LoginOptions& options,
                                                         const Prompter& prompter);

// No SSH at all: commands run under the local /bin/sh. For tests, and for a mount of this host.
[[nodiscard]] std::unique_ptr<Transport> local_transport();

}  // namespace cpaway::transport
