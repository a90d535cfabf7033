// Everything a mount can be told, from the words of the command line and of fstab.
//
// Names are those that sshfs and ssh give the same thing. What neither the in-process SSH library
// nor cpaway can honour is an error, never silently dropped; fstab's own words mean nothing here
// and are accepted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/log_spdlog.h"
#include "engine/client/session.h"
#include "fs/options.h"

namespace cpaway::tools {

// The words of the command line, not yet understood.
struct MountWords {
  std::string source;
  std::string mountpoint;
  std::vector<std::string> option_lists;  // each -o
  std::string config_file;                // -F
  std::string port;                       // -p
  bool foreground = false;                // -f
  bool sloppy = false;                    // unknown options are skipped (mount(8)'s -s)
};

struct MountOptions {
  client::SessionOptions session;
  fs::Options filesystem;
  std::optional<std::string> log_target;  // nothing: syslog, or stderr in the foreground
  log::Level log_level = log::Level::info;
  std::string state_dir;  // "": the user's own (tools/state_dir.h)
  bool foreground = false;
  bool nonempty = false;        // mount over a directory that holds something
  bool password_stdin = false;  // the first line of standard input is the password

  // Collected while parsing: what only the ssh program understands ("Key=Value").
  std::vector<std::string> ssh_only;
};

// filesystem.mountpoint stays as it was given. Errors (Errc::invalid) are one line that names the
// option and what to do.
[[nodiscard]] Result<MountOptions> parse_mount_options(const MountWords& words);

}  // namespace cpaway::tools
