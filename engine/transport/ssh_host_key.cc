#include "engine/transport/ssh_host_key.h"

#include <memory>

#include "engine/base/strings.h"
#include "engine/transport/known_hosts.h"
#include "engine/transport/prompt.h"

namespace cpaway::transport {
namespace {

struct ServerKey {
  std::string fingerprint;  // SHA256:...
  std::string base64;
};

Result<ServerKey> server_key(const SshSession& session) {
  ssh_key raw = nullptr;
  if (ssh_get_server_publickey(session.raw(), &raw) != SSH_OK) {
    return fail(Errc::host_key, concat(session.label(), " showed no key"));
  }
  const std::unique_ptr<ssh_key_struct, decltype(&ssh_key_free)> key(raw, &ssh_key_free);
  ServerKey out;
  unsigned char* hash = nullptr;
  size_t hash_size = 0;
  if (ssh_get_publickey_hash(raw, SSH_PUBLICKEY_HASH_SHA256, &hash, &hash_size) == SSH_OK) {
    char* text = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, hash_size);
    out.fingerprint = text == nullptr ? "" : text;
    ssh_string_free_char(text);
    ssh_clean_pubkey_hash(&hash);
  }
  char* base64 = nullptr;
  if (ssh_pki_export_pubkey_base64(raw, &base64) == SSH_OK) {
    out.base64 = base64;
    ssh_string_free_char(base64);
  }
  return out;
}

std::string file_option(const SshSession& session, ssh_options_e option) {
  char* value = nullptr;
  if (ssh_options_get(session.raw(), option, &value) != SSH_OK || value == nullptr) {
    return {};
  }
  std::string path(value);
  ssh_string_free_char(value);
  return path;
}

std::string known_hosts_name(const Target& target) {
  return target.port == 22 ? target.host : concat("[", target.host, "]:", target.port);
}

// The marker lines of the user's file and of the system's.
HostMark marks(const SshSession& session, const std::string& name, const ServerKey& key) {
  HostMark strongest = HostMark::none;
  for (const auto option : {SSH_OPTIONS_KNOWNHOSTS, SSH_OPTIONS_GLOBAL_KNOWNHOSTS}) {
    const HostMark mark = host_mark(read_text(file_option(session, option)), name, key.base64);
    if (mark == HostMark::revoked) {
      return mark;
    }
    if (mark != HostMark::none) {
      strongest = mark;
    }
  }
  return strongest;
}

Status remember(const SshSession& session) {
  if (ssh_session_update_known_hosts(session.raw()) != SSH_OK) {
    return fail(Errc::host_key,
                concat("cannot remember the key of ", session.label(), " in ",
                       file_option(session, SSH_OPTIONS_KNOWNHOSTS), ": ", session.error_text()));
  }
  return {};
}

Status refuse_unknown(const SshSession& session) {
  return fail(Errc::host_key, concat("the key of ", session.label(),
                                     " is not known: connect once with ssh, or use -o "
                                     "StrictHostKeyChecking=accept-new"));
}

Status judge_unknown(const SshSession& session, const LoginOptions& options, const ServerKey& key,
                     const Prompter& prompter, Deadline& deadline) {
  switch (host_key_check(options)) {
    case HostKeyCheck::strict:
      return refuse_unknown(session);
    case HostKeyCheck::accept_new:
    case HostKeyCheck::off:
      return remember(session);
    case HostKeyCheck::ask:
      break;
  }
  const auto answer = ask(prompter, deadline,
                          concat("The key of ", session.label(), " is not known: ", key.fingerprint,
                                 ". Trust and remember it? (yes/no) "),
                          true);
  return answer == "yes" ? remember(session) : refuse_unknown(session);
}

}  // namespace

Status check_host_key(const SshSession& session, const LoginOptions& options, const Target& target,
                      const Prompter& prompter, Deadline& deadline) {
  CPAWAY_ASSIGN(const ServerKey key, server_key(session));
  const std::string name = known_hosts_name(target);
  const HostMark mark = marks(session, name, key);
  if (mark == HostMark::revoked) {
    return fail(Errc::host_key, concat("the key of ", session.label(), " (", key.fingerprint,
                                       ") is marked @revoked in known_hosts"));
  }
  switch (ssh_session_is_known_server(session.raw())) {
    case SSH_KNOWN_HOSTS_OK:
      return {};
    case SSH_KNOWN_HOSTS_CHANGED:
    case SSH_KNOWN_HOSTS_OTHER:
      return fail(Errc::host_key,
                  concat("the key of ", session.label(), " has changed (", key.fingerprint,
                         " now): it may be an attack; remove the old one with: ssh-keygen -f ",
                         file_option(session, SSH_OPTIONS_KNOWNHOSTS), " -R '", name, "'"));
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_UNKNOWN:
      break;
    case SSH_KNOWN_HOSTS_ERROR:
      return fail(Errc::host_key,
                  concat("cannot check the key of ", session.label(), ": ", session.error_text()));
  }
  if (mark == HostMark::cert_authority) {
    return fail(Errc::host_key, concat("known_hosts trusts a certificate authority for ",
                                       session.label(), ", which needs -o ssh_command=ssh"));
  }
  return judge_unknown(session, options, key, prompter, deadline);
}

}  // namespace cpaway::transport
