#include "engine/client/agent_binary.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "engine/hash/digest.h"

namespace cpaway::client {
namespace {

constexpr off_t kMaxAgentSize = 64L << 20U;
constexpr size_t kDigestInName = 16;

std::vector<std::string> places() {
  std::error_code failed;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path();
  std::vector<std::string> found;
  if (!failed) {
    found.push_back((self / "cpaway-agent").string());
    found.push_back((self.parent_path() / "lib/cpaway/cpaway-agent").string());
  }
  found.emplace_back("/usr/lib/cpaway/cpaway-agent");
  return found;
}

Result<std::string> find_agent(const std::string& path) {
  if (!path.empty()) {
    return path;
  }
  std::string looked;
  for (const std::string& place : places()) {
    if (access(place.c_str(), R_OK) == 0) {
      return place;
    }
    looked.append(looked.empty() ? "" : ", ").append(place);
  }
  return fail(Errc::exec, concat("no agent program on this host: looked for ", looked));
}

Result<Bytes> read_agent(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!fd || fstat(fd.get(), &st) < 0) {
    return fail(Errc::exec,
                concat("cannot read the agent program ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISREG(st.st_mode) || st.st_size > kMaxAgentSize) {
    return fail(Errc::exec, concat(path, " is not an agent program"));
  }
  Bytes content(static_cast<size_t>(st.st_size));
  CPAWAY_ASSIGN(const size_t size, read_full(fd.get(), content));
  content.resize(size);
  return content;
}

}  // namespace

Result<AgentBinary> load_agent(const std::string& path) {
  AgentBinary agent;
  CPAWAY_ASSIGN(agent.path, find_agent(path));
  CPAWAY_ASSIGN(agent.content, read_agent(agent.path));
  Elf64_Ehdr header{};  // e_machine is at the same place in 32-bit files
  if (agent.content.size() < sizeof header ||
      std::memcmp(agent.content.data(), ELFMAG, SELFMAG) != 0) {
    return fail(Errc::exec, concat(agent.path, " is not a program for Linux"));
  }
  std::memcpy(&header, agent.content.data(), sizeof header);
  agent.machine = header.e_machine;
  agent.digest = hash::to_hex(hash::sha256(agent.content));
  agent.name = concat("cpaway-agent-", CPAWAY_VERSION, "-", agent.digest.substr(0, kDigestInName));
  return agent;
}

bool runs_on(const AgentBinary& agent, std::string_view machine) {
  constexpr std::array<std::pair<std::string_view, uint16_t>, 11> kMachines{
      {{"x86_64", EM_X86_64},
       {"amd64", EM_X86_64},
       {"i386", EM_386},
       {"i686", EM_386},
       {"aarch64", EM_AARCH64},
       {"arm64", EM_AARCH64},
       {"armv6l", EM_ARM},
       {"armv7l", EM_ARM},
       {"riscv64", EM_RISCV},
       {"ppc64le", EM_PPC64},
       {"s390x", EM_S390}}};
  for (const auto& [name, elf_machine] : kMachines) {
    if (machine == name) {
      return agent.machine == elf_machine ||
             (elf_machine == EM_X86_64 && agent.machine == EM_386) ||
             (elf_machine == EM_AARCH64 && agent.machine == EM_ARM);
    }
  }
  return true;
}

}  // namespace cpaway::client
