// The agent program on this host, as it is pushed to a remote one.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace cpaway::client {

struct AgentBinary {
  std::string path;
  Bytes content;
  std::string digest;  // SHA-256, hexadecimal
  std::string name;    // on the remote host: cpaway-agent-VERSION-DIGEST16
  uint16_t machine;    // e_machine of its ELF header
};

// `path` or, where it is "", cpaway-agent beside this program, in ../lib/cpaway, in
// /usr/lib/cpaway. Errc::exec where there is none, or where it is not a program for Linux.
[[nodiscard]] Result<AgentBinary> load_agent(const std::string& path);

// Whether a host whose `uname -m` says `machine` runs it. An unknown name is given the benefit of
// the doubt: running it tells.
[[nodiscard]] bool runs_on(const AgentBinary& agent, std::string_view machine);

}  // namespace cpaway::client
