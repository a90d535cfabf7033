// The shell commands with which an agent is found, pushed and started on the remote host.
//
// Each is one line, `exec /bin/sh -c '...'`, that any login shell passes on: no single quote, line
// end, backslash or exclamation mark is in it. The scripts print lines behind a mark of their own,
// since a login shell may print anything before.
//
// Directories are tried in this order: $XDG_CACHE_HOME/cpaway (or $HOME/.cache/cpaway),
// $XDG_RUNTIME_DIR/cpaway, /var/tmp/cpaway-UID, /tmp/cpaway-UID. One that is not a directory of the
// remote user's own with mode 0700 is not used.
#pragma once

#include <string>
#include <string_view>

#include "engine/client/agent_binary.h"

namespace cpaway::client {

// Before: `uname -sm`, the digest of nothing or "none" (no program there computes SHA-256), and
// the directories, a line each.
inline constexpr std::string_view kProbeMark = "\ncpaway-probe-7f2c9e41\n";
// Before: one line of outcome: "ok"; "unverified" (no program computes SHA-256); "nodir",
// "unsafe", "damaged"; "failed TEXT" and "noexec TEXT" with what the system said.
inline constexpr std::string_view kPushMark = "\ncpaway-push-7f2c9e41\n";
// Before: the content of the agent's file.
inline constexpr std::string_view kFetchMark = "\ncpaway-fetch-7f2c9e41\n";

// Starts the agent where a directory holds it whole; prints what a push needs to know otherwise.
[[nodiscard]] std::string find_command(const AgentBinary& agent);
// Stores standard input as the agent in directory number `index`, checks and tries it.
[[nodiscard]] std::string push_command(const AgentBinary& agent, size_t index);
// For hosts that do not compute SHA-256: prints the file, and starts it without a look.
[[nodiscard]] std::string fetch_command(const AgentBinary& agent, size_t index);
[[nodiscard]] std::string start_command(const AgentBinary& agent, size_t index);

}  // namespace cpaway::client
