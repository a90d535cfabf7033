#include "engine/transport/ssh_config.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "engine/base/strings.h"
#include "engine/transport/config_keyword.h"

namespace cpaway::transport {
namespace {

constexpr size_t kMaxTextFile = 16UL << 20U;

// AES-GCM first: with AES in the processor it is the fastest by far.
constexpr const char* kCiphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
    "aes128-ctr,aes192-ctr,aes256-ctr";

Status set(SshSession& session, ssh_options_e option, const void* value, const char* name) {
  if (ssh_options_set(session.raw(), option, value) != SSH_OK) {
    return fail(Errc::invalid, concat(session.label(), ": bad ", name, ": ", session.error_text()));
  }
  return {};
}

std::string get(const SshSession& session, ssh_options_e option) {
  char* value = nullptr;
  if (ssh_options_get(session.raw(), option, &value) != SSH_OK || value == nullptr) {
    return {};
  }
  std::string text(value);
  ssh_string_free_char(value);
  return text;
}

Status read_config(SshSession& session, const std::string& file) {
  if (file == "none") {
    return {};
  }
  const std::string path = expand_home(file);
  if (!path.empty() && access(path.c_str(), R_OK) != 0) {
    return fail(Errc::invalid,
                concat("cannot read the ssh configuration ", path, ": ", std::strerror(errno)));
  }
  if (ssh_options_parse_config(session.raw(), path.empty() ? nullptr : path.c_str()) != 0) {
    return fail(Errc::invalid,
                concat("the ssh configuration ", path.empty() ? "~/.ssh/config" : path,
                       " is not understood: ", session.error_text()));
  }
  return {};
}

// What ssh_config may still change.
Status set_defaults(SshSession& session, const LoginOptions& options) {
  const bool on = true;
  const bool off = false;
  const int nodelay = 1;
  CPAWAY_TRY(set(session, SSH_OPTIONS_HOST, options.host.c_str(), "host name"));
  if (!options.user.empty()) {  // libssh lets ssh_config name the user only while there is none
    CPAWAY_TRY(set(session, SSH_OPTIONS_USER, options.user.c_str(), "user name"));
  }
  CPAWAY_TRY(set(session, SSH_OPTIONS_CIPHERS_C_S, kCiphers, "ciphers"));
  CPAWAY_TRY(set(session, SSH_OPTIONS_CIPHERS_S_C, kCiphers, "ciphers"));
  CPAWAY_TRY(set(session, SSH_OPTIONS_NODELAY, &nodelay, "no-delay"));
  // Off: libssh would read the files a second time, over what is set here.
  CPAWAY_TRY(set(session, SSH_OPTIONS_PROCESS_CONFIG, options.config_file == "none" ? &off : &on,
                 "configuration"));
  return {};
}

Status set_explicit(SshSession& session, const LoginOptions& options) {
  if (options.port != 0) {
    const auto port = static_cast<unsigned>(options.port);
    CPAWAY_TRY(set(session, SSH_OPTIONS_PORT, &port, "port"));
  }
  if (!options.known_hosts_file.empty()) {
    const std::string path = expand_home(options.known_hosts_file);
    CPAWAY_TRY(set(session, SSH_OPTIONS_KNOWNHOSTS, path.c_str(), "UserKnownHostsFile"));
  }
  if (options.compress) {
    CPAWAY_TRY(set(session, SSH_OPTIONS_COMPRESSION, "yes", "compression"));
  }
  const bool off = false;
  return set(session, SSH_OPTIONS_PROCESS_CONFIG, &off, "configuration");
}

HostKeyCheck parse_check(std::string_view word) {
  if (word == "accept-new") {
    return HostKeyCheck::accept_new;
  }
  if (word == "ask") {
    return HostKeyCheck::ask;
  }
  return word == "no" || word == "off" ? HostKeyCheck::off : HostKeyCheck::strict;
}

}  // namespace

std::string expand_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (!path.starts_with("~/") || home == nullptr) {
    return path;
  }
  return concat(home, path.substr(1));
}

Status configure(SshSession& session, const LoginOptions& options) {
  if (options.host.empty() || options.host.starts_with("-")) {
    return fail(Errc::invalid, concat("not a host name: '", options.host, "'"));
  }
  CPAWAY_TRY(set_defaults(session, options));
  CPAWAY_TRY(read_config(session, options.config_file));
  return set_explicit(session, options);
}

Target configured_target(const SshSession& session) {
  Target target;
  target.host = get(session, SSH_OPTIONS_HOST);
  ssh_options_get_port(session.raw(), &target.port);
  target.user = get(session, SSH_OPTIONS_USER);
  const std::string proxy = get(session, SSH_OPTIONS_PROXYCOMMAND);
  target.by_proxy = !proxy.empty() && proxy != "none";
  return target;
}

HostKeyCheck host_key_check(const LoginOptions& options) {
  if (options.host_key_check || options.config_file == "none") {
    return options.host_key_check.value_or(HostKeyCheck::strict);
  }
  std::vector<std::string> files{expand_home(options.config_file)};
  if (options.config_file.empty()) {
    files = {expand_home("~/.ssh/config"), "/etc/ssh/ssh_config"};
  }
  for (const std::string& file : files) {
    const auto word = config_keyword(read_text(file), options.host, "StrictHostKeyChecking");
    if (word) {
      return parse_check(*word);
    }
  }
  return HostKeyCheck::strict;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  text.resize(std::min(text.size(), kMaxTextFile));
  return text;
}

}  // namespace cpaway::transport
