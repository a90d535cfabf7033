#include "tools/option_rules.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "engine/base/strings.h"
#include "tools/option_values.h"
#include "tools/ssh_keywords.h"

namespace cpaway::tools {
namespace {

constexpr uint64_t kMiB = 1024UL * 1024;
constexpr uint64_t kMaxTimeoutSeconds = 366UL * 24 * 3600;
constexpr uint64_t kMaxConnectSeconds = 600;
constexpr uint64_t kMaxId = std::numeric_limits<uint32_t>::max() - 1;  // the last means "none"

Status set_port(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const uint64_t port, parse_number("port", value, 1, 65535));
  o.session.login.port = static_cast<int>(port);
  return {};
}

Status set_host_key_check(MountOptions& o, std::string_view value) {
  using transport::HostKeyCheck;
  static constexpr std::array kChecks = {HostKeyCheck::strict, HostKeyCheck::off, HostKeyCheck::off,
                                         HostKeyCheck::ask, HostKeyCheck::accept_new};
  CPAWAY_ASSIGN(const size_t index, parse_word("StrictHostKeyChecking", value,
                                               {"yes", "no", "off", "ask", "accept-new"}));
  o.session.login.host_key_check = kChecks[index];
  return {};
}

Status set_known_hosts(MountOptions& o, std::string_view value) {
  o.session.login.known_hosts_file = absolute_path(value);
  return {};
}

Status add_identity(MountOptions& o, std::string_view value) {
  o.session.login.identity_files.push_back(absolute_path(value));
  return {};
}

Status set_compress(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(o.filesystem.compress, parse_yes_no("compress", value));
  return {};
}
Status set_ssh_compression(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(o.session.login.compress, parse_yes_no("Compression", value));
  return {};
}

Status set_connect_timeout(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const uint64_t seconds,
                parse_number("ConnectTimeout", value, 1, kMaxConnectSeconds));
  o.session.login.timeout_ms = static_cast<int64_t>(seconds * 1000);
  return {};
}

// Names of ssh_config(5) that both transports honour; ssh ignores their case, so "port" is here.
constexpr auto kSshRules = std::to_array<OptionRule>({
    {"Port", Takes::value, set_port},
    {"IdentityFile", Takes::value, add_identity},
    {"UserKnownHostsFile", Takes::value, set_known_hosts},
    {"StrictHostKeyChecking", Takes::value, set_host_key_check},
    {"Compression", Takes::value, set_ssh_compression},
    {"ConnectTimeout", Takes::value, set_connect_timeout},
});

Status set_timeout(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const uint64_t seconds, parse_number("timeout", value, 0, kMaxTimeoutSeconds));
  o.session.timeout_ms = static_cast<int64_t>(seconds * 1000);
  return {};
}

// fstab's "sync" says what "sync=commit" says.
Status set_sync(MountOptions& o, std::string_view value) {
  if (value.empty()) {
    o.session.sync_commit = true;
    return {};
  }
  CPAWAY_ASSIGN(const size_t index, parse_word("sync", value, {"batch", "commit"}));
  o.session.sync_commit = index == 1;
  return {};
}

Status set_close(MountOptions& /*o*/, std::string_view value) {
  CPAWAY_ASSIGN(const size_t index, parse_word("close", value, {"verified", "async"}));
  if (index == 1) {
    return fail(Errc::invalid, "option close=async is not supported yet");
  }
  return {};
}

Status refuse_bwlimit(MountOptions& /*o*/, std::string_view /*value*/) {
  return fail(Errc::invalid, "option bwlimit is not supported yet");
}

Status refuse_remount(MountOptions& /*o*/, std::string_view /*value*/) {
  return fail(Errc::invalid, "option remount is not supported: unmount, then mount again");
}

Status check_max_conns(MountOptions& /*o*/, std::string_view value) {
  CPAWAY_TRY(parse_number("max_conns", value, 1, 16));
  return {};
}

Status set_verify_retries(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const uint64_t count, parse_number("verify_retries", value, 0, 100));
  o.filesystem.verify_retries = static_cast<int>(count);
  return {};
}

Status set_window(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(o.filesystem.window_size, parse_size("window", value, 4 * kMiB, 4096 * kMiB));
  return {};
}

Status set_copy_programs(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(o.filesystem.copying_programs, parse_names("copy_programs", value));
  return {};
}

Status set_agent(MountOptions& o, std::string_view value) {
  o.session.agent.remote_command = value;
  return {};
}

Status set_ssh_command(MountOptions& o, std::string_view value) {
  o.session.login.ssh_command = value;
  return {};
}

Status set_state_dir(MountOptions& o, std::string_view value) {
  o.state_dir = absolute_path(value);
  return {};
}

Status set_log(MountOptions& o, std::string_view value) {
  const bool is_word = value == "stderr" || value == "syslog";
  o.log_target = is_word ? std::string(value) : absolute_path(value);
  return {};
}

Status set_log_level(MountOptions& o, std::string_view value) {
  static constexpr std::array kLevels = {log::Level::debug, log::Level::info, log::Level::warning,
                                         log::Level::error};
  CPAWAY_ASSIGN(const size_t index,
                parse_word("log_level", value, {"debug", "info", "warning", "error"}));
  o.log_level = kLevels[index];
  return {};
}

Status set_debug(MountOptions& o, std::string_view /*value*/) {
  o.log_level = log::Level::debug;
  o.filesystem.fuse_debug = true;
  return {};
}

Status set_idmap(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const size_t index, parse_word("idmap", value, {"none", "user"}));
  o.filesystem.idmap = index == 1 ? fs::IdMap::user : fs::IdMap::none;
  return {};
}

Status set_locks(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const size_t index, parse_word("locks", value, {"remote", "local"}));
  o.filesystem.locks = index == 1 ? fs::Locks::local : fs::Locks::remote;
  return {};
}

Status set_uid(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const uint64_t id, parse_number("uid", value, 0, kMaxId));
  o.filesystem.uid = static_cast<uint32_t>(id);
  return {};
}

Status set_gid(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(const uint64_t id, parse_number("gid", value, 0, kMaxId));
  o.filesystem.gid = static_cast<uint32_t>(id);
  return {};
}

Status set_umask(MountOptions& o, std::string_view value) {
  CPAWAY_ASSIGN(o.filesystem.umask, parse_umask("umask", value));
  return {};
}

Status allow_dangerous(bool& flag, std::string_view name) {
  if (geteuid() != 0) {
    return fail(Errc::invalid, concat("option ", name, " is for root only"));
  }
  flag = true;
  return {};
}

Status set_dev(MountOptions& o, std::string_view /*value*/) {
  return allow_dangerous(o.filesystem.dev, "dev");
}

Status set_suid(MountOptions& o, std::string_view /*value*/) {
  return allow_dangerous(o.filesystem.suid, "suid");
}

template <bool fs::Options::*kMember, bool kTo>
Status set_flag(MountOptions& o, std::string_view /*value*/) {
  o.filesystem.*kMember = kTo;
  return {};
}

template <bool MountOptions::*kMember>
Status set_own_flag(MountOptions& o, std::string_view /*value*/) {
  o.*kMember = true;
  return {};
}

constexpr auto kRules = std::to_array<OptionRule>({
    {"agent", Takes::value, set_agent},
    {"allow_other", Takes::nothing, set_flag<&fs::Options::allow_other, true>},
    {"atime", Takes::nothing, set_flag<&fs::Options::noatime, false>},
    {"bwlimit", Takes::either, refuse_bwlimit},
    {"close", Takes::value, set_close},
    {"compress", Takes::value, set_compress},
    {"copy_programs", Takes::value, set_copy_programs},
    {"debug", Takes::nothing, set_debug},
    {"default_permissions", Takes::nothing, set_flag<&fs::Options::default_permissions, true>},
    {"dev", Takes::nothing, set_dev},
    {"exec", Takes::nothing, set_flag<&fs::Options::noexec, false>},
    {"gid", Takes::value, set_gid},
    {"idmap", Takes::value, set_idmap},
    {"locks", Takes::value, set_locks},
    {"log", Takes::value, set_log},
    {"log_level", Takes::value, set_log_level},
    {"max_conns", Takes::value, check_max_conns},
    {"noatime", Takes::nothing, set_flag<&fs::Options::noatime, true>},
    {"nodev", Takes::nothing, set_flag<&fs::Options::dev, false>},
    {"noexec", Takes::nothing, set_flag<&fs::Options::noexec, true>},
    {"nonempty", Takes::nothing, set_own_flag<&MountOptions::nonempty>},
    {"nosuid", Takes::nothing, set_flag<&fs::Options::suid, false>},
    {"password_stdin", Takes::nothing, set_own_flag<&MountOptions::password_stdin>},
    {"remount", Takes::nothing, refuse_remount},
    {"ro", Takes::nothing, set_flag<&fs::Options::read_only, true>},
    {"rw", Takes::nothing, set_flag<&fs::Options::read_only, false>},
    {"ssh_command", Takes::value, set_ssh_command},
    {"state_dir", Takes::value, set_state_dir},
    {"suid", Takes::nothing, set_suid},
    {"sync", Takes::either, set_sync},
    {"timeout", Takes::value, set_timeout},
    {"uid", Takes::value, set_uid},
    {"umask", Takes::value, set_umask},
    {"verify_retries", Takes::value, set_verify_retries},
    {"window", Takes::value, set_window},
});

// "reconnect" is sshfs's: always on here. "async" is fstab's: commits need no sync by default.
constexpr auto kFstabWords = std::to_array<std::string_view>({
    "_netdev", "async",     "auto",       "comment",    "defaults",   "diratime",
    "group",   "nofail",    "noauto",     "nodiratime", "nogroup",    "noowner",
    "nouser",  "nousers",   "noiversion", "nolazytime", "norelatime", "nostrictatime",
    "owner",   "reconnect", "relatime",   "silent",     "user",       "users",
});

}  // namespace

const OptionRule* find_option_rule(std::string_view name) {
  const auto* own = std::find_if(kRules.begin(), kRules.end(),
                                 [name](const OptionRule& rule) { return rule.name == name; });
  if (own != kRules.end()) {
    return own;
  }
  const auto* ssh = std::find_if(kSshRules.begin(), kSshRules.end(), [name](const OptionRule& r) {
    return equal_ignoring_case(r.name, name);
  });
  return ssh == kSshRules.end() ? nullptr : ssh;
}

bool is_fstab_word(std::string_view name) {
  return name.starts_with("x-") || name.starts_with("X-") ||
         std::find(kFstabWords.begin(), kFstabWords.end(), name) != kFstabWords.end();
}

std::vector<std::string_view> known_option_names() {
  std::vector<std::string_view> names(kFstabWords.begin(), kFstabWords.end());
  for (const OptionRule& rule : kRules) {
    names.push_back(rule.name);
  }
  names.emplace_back("port");
  for (const OptionRule& rule : kSshRules) {
    names.push_back(rule.name);
  }
  return names;
}

}  // namespace cpaway::tools
