#include "tests/support/test_sshd.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "engine/base/check.h"
#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "tests/support/net_namespace.h"
#include "tests/support/run_command.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {
namespace {

constexpr const char* kSshd = "/usr/sbin/sshd";
constexpr int kStartAttempts = 5;  // another program may take the free port first

sockaddr_in socket_address(const std::string& address_text, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = inet_addr(address_text.c_str());
  return address;
}

int free_port(const std::string& address_text) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = socket_address(address_text, 0);
  socklen_t size = sizeof address;
  CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

std::multimap<pid_t, pid_t> children_by_parent() {
  std::multimap<pid_t, pid_t> children;
  DIR* proc = opendir("/proc");
  CHECK(proc != nullptr);
  while (const dirent* entry = readdir(proc)) {
    const pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) {
      continue;
    }
    const std::string stat = read_file(concat("/proc/", pid, "/stat"));
    const size_t name_end = stat.rfind(')');
    char state = 0;
    int parent = 0;
    if (name_end != std::string::npos &&
        std::sscanf(stat.c_str() + name_end + 1, " %c %d", &state, &parent) == 2 && state != 'Z') {
      children.emplace(parent, pid);
    }
  }
  closedir(proc);
  return children;
}

// Stops them all, also those that were being started meanwhile, so that none is missed.
std::vector<pid_t> freeze_descendants(pid_t pid) {
  std::vector<pid_t> frozen;
  for (std::vector<pid_t> found = descendants(pid); found.size() != frozen.size();
       found = descendants(pid)) {
    for (const pid_t one : found) {
      kill(one, SIGSTOP);
    }
    frozen = found;
  }
  return frozen;
}

bool is_running(pid_t pid) {
  const std::string stat = read_file(concat("/proc/", pid, "/stat"));
  return !stat.empty() && stat.find(") Z ") == std::string::npos;
}

}  // namespace

std::vector<pid_t> descendants(pid_t pid) {
  const auto children = children_by_parent();
  std::vector<pid_t> found{pid};
  for (size_t i = 0; i < found.size(); ++i) {
    const auto [begin, end] = children.equal_range(found[i]);
    for (auto child = begin; child != end; ++child) {
      found.push_back(child->second);
    }
  }
  found.erase(found.begin());
  return found;
}

std::string process_name(pid_t pid) {
  const std::string comm = read_file(concat("/proc/", pid, "/comm"));
  return comm.substr(0, comm.find('\n'));
}

bool TestSshd::available() {
  return geteuid() == 0 && access(kSshd, X_OK) == 0;
}

TestSshd::TestSshd(const Options& options)
    : user_(test_user(options.user)), network_(options.network), address_(options.address) {
  mkdir("/run/sshd", 0755);  // sshd insists on it; systemd makes it elsewhere
  CHECK(mkdir(cache_dir().c_str(), 0700) == 0);
  CHECK(chown(cache_dir().c_str(), user_.uid, user_.gid) == 0);
  make_keys();
  for (int attempt = 0; attempt < kStartAttempts && pid_ < 0; ++attempt) {
    {
      const NetNamespaceScope scope(network_);
      port_ = free_port(address_);
    }
    write_config(options);
    start();
  }
  if (pid_ < 0) {
    std::fprintf(stderr, "sshd does not start:\n%s\n", log().c_str());
    std::abort();
  }
}

TestSshd::~TestSshd() {
  stop();
}

void TestSshd::make_keys() {
  for (const char* name : {"host_key", "user_key"}) {
    must_run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file(name)});
  }
  write_file(file("authorized_keys"), read_file(file("user_key.pub")));
}

void TestSshd::write_config(const Options& options) {
  std::string config;
  for (const std::string& line : options.config) {
    config.append(line).append("\n");
  }
  if (options.noisy) {
    write_file(file("noisy"),
               "#!/bin/sh\necho 'Welcome! No line end follows'\nprintf '%s' noise\n"
               "exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
               0755);
    config.append(concat("ForceCommand ", file("noisy"), "\n"));
  }
  config.append(concat("Port ", port_, "\nListenAddress ", address_, "\nHostKey ", file("host_key"),
                       "\nAuthorizedKeysFile ", file("authorized_keys"), "\nPidFile none\n",
                       "UsePAM no\nStrictModes no\nPasswordAuthentication no\n"
                       "KbdInteractiveAuthentication no\nMaxStartups 100\nUseDNS no\n"
                       "PrintMotd no\nSetEnv XDG_CACHE_HOME=",
                       cache_dir(), "\n"));
  write_file(file("sshd_config"), config);
  const std::string key = read_file(file("host_key.pub"));
  write_file(file("known_hosts"), concat("[", address_, "]:", port_, " ", key));
}

void TestSshd::start() {
  const NetNamespaceScope scope(network_);
  std::string config = file("sshd_config");
  std::string log_file = file("sshd.log");
  const char* argv[] = {kSshd, "-D", "-f", config.c_str(), "-E", log_file.c_str(), nullptr};
  CHECK(posix_spawn(&pid_, kSshd, nullptr, nullptr, const_cast<char**>(argv), environ) == 0);
  const bool up = wait_until([this] {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
    }
    return pid_ < 0 || listening();
  });
  CHECK(up);
}

bool TestSshd::listening() const {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = socket_address(address_, port_);
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void TestSshd::stop() {
  if (pid_ < 0) {
    return;
  }
  kill(pid_, SIGSTOP);  // it starts no more sessions while they are counted
  const std::vector<pid_t> sessions = freeze_descendants(pid_);
  for (const pid_t pid : sessions) {
    kill(pid, SIGKILL);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  CHECK(wait_until([&] { return std::none_of(sessions.begin(), sessions.end(), is_running); }));
}

void TestSshd::kill_sessions() {
  for (const pid_t pid : descendants(pid_)) {
    if (process_name(pid) == "sshd") {
      kill(pid, SIGKILL);
    }
  }
}

std::vector<pid_t> TestSshd::agents() const {
  std::vector<pid_t> agents;
  for (const pid_t pid : descendants(pid_)) {
    if (process_name(pid).starts_with("cpaway-agent")) {
      agents.push_back(pid);
    }
  }
  return agents;
}

size_t TestSshd::session_count() const {
  size_t count = 0;
  for (const pid_t pid : descendants(pid_)) {
    count += process_name(pid) == "sshd" ? 1 : 0;
  }
  return count;
}

transport::LoginOptions TestSshd::login() const {
  transport::LoginOptions login;
  login.host = address_;
  login.port = port_;
  login.user = user_.name;
  login.config_file = "none";
  login.identity_files = {file("user_key")};
  login.known_hosts_file = file("known_hosts");
  return login;
}

}  // namespace cpaway::testing
