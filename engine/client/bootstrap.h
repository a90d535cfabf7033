// Gets the agent running on the remote host: looks for the right version, pushes it where there is
// none, checks its digest, runs it, and skips what the login shell printed before its start marker.
#pragma once

#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/transport/transport.h"

namespace cpaway::client {

struct AgentOptions {
  // The agent program on this host, to push. "" looks beside this program, then in
  // /usr/lib/cpaway. Its digest is part of the name that it gets on the remote host.
  std::string local_path;
  // Not "": a command on the remote host that starts an agent; nothing is looked for or pushed.
  std::string remote_command;
};

// Returns the stream just behind the start marker. Errors (Errc::exec, unless the link broke) name
// what is wrong: commands refused, no writable directory, no space, every directory noexec, another
// architecture, something else answering instead.
[[nodiscard]] Result<std::unique_ptr<Stream>> start_agent(transport::Transport& transport,
                                                          const AgentOptions& options,
                                                          int64_t timeout_ms);

}  // namespace cpaway::client
