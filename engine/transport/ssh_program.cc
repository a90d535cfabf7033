#include "engine/transport/ssh_program.h"

#include <array>
#include <string_view>

#include "engine/base/strings.h"
#include "engine/transport/child_stream.h"

namespace cpaway::transport {
namespace {

// ssh ends with this when it failed itself, not the remote command.
constexpr int kSshFailed = 255;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) {
      words.emplace_back(text.substr(0, end));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

const char* keyword(HostKeyCheck check) {
  switch (check) {
    case HostKeyCheck::strict:
      return "yes";
    case HostKeyCheck::accept_new:
      return "accept-new";
    case HostKeyCheck::ask:
      return "ask";
    case HostKeyCheck::off:
      return "no";
  }
  return "yes";
}

Errc login_errc(std::string_view said) {
  constexpr std::array<std::string_view, 4> kHostKey{"Host key verification failed",
                                                     "REMOTE HOST IDENTIFICATION HAS CHANGED",
                                                     "No matching host key", "host key for"};
  constexpr std::array<std::string_view, 3> kAuth{
      "Permission denied", "Too many authentication failures", "No more authentication methods"};
  const auto says = [said](std::string_view text) {
    return said.find(text) != std::string_view::npos;
  };
  if (std::any_of(kHostKey.begin(), kHostKey.end(), says)) {
    return Errc::host_key;
  }
  if (std::any_of(kAuth.begin(), kAuth.end(), says)) {
    return Errc::auth;
  }
  return Errc::unreachable;
}

class SshProgram : public Transport {
 public:
  SshProgram(std::string host, std::vector<std::string> argv)
      : host_(std::move(host)), argv_(std::move(argv)) {}

  Result<std::unique_ptr<Stream>> exec(const std::string& command) override {
    std::vector<std::string> argv = argv_;
    argv.push_back(command);
    CPAWAY_ASSIGN(auto child, ChildStream::spawn(argv, [host = host_](const ChildStream::End& end) {
                    return end_error(host, end);
                  }));
    return std::unique_ptr<Stream>(std::move(child));
  }

 private:
  static Error end_error(const std::string& host, const ChildStream::End& end) {
    const std::string last = last_line(end.said);
    if (end.exit_status == kSshFailed && !end.printed) {
      return make_error(login_errc(end.said),
                        concat("cannot reach ", host, ": ",
                               last.empty() ? "the ssh program failed and did not say why" : last));
    }
    return make_error(Errc::connection_lost,
                      concat("the ssh program ended with ", end.exit_status));
  }

  const std::string host_;
  const std::vector<std::string> argv_;
};

}  // namespace

Result<std::unique_ptr<Transport>> ssh_program(const LoginOptions& options, bool may_ask) {
  std::vector<std::string> argv = words_of(options.ssh_command);
  if (argv.empty()) {
    return fail(Errc::invalid, "ssh_command names no program");
  }
  if (options.host.empty() || options.host.starts_with("-")) {
    return fail(Errc::invalid, concat("not a host name: '", options.host, "'"));
  }
  if (options.password) {
    return fail(Errc::invalid, "password_stdin does not go with ssh_command");
  }
  const auto add = [&argv](auto... words) { (argv.emplace_back(words), ...); };
  add("-e", "none", "-T", "-x");
  if (options.port != 0) {
    add("-p", concat(options.port));
  }
  if (!options.user.empty()) {
    add("-l", options.user);
  }
  for (const std::string& path : options.identity_files) {
    add("-i", path);
  }
  if (!options.config_file.empty()) {
    add("-F", options.config_file);
  }
  if (!options.known_hosts_file.empty()) {
    add("-o", concat("UserKnownHostsFile=", options.known_hosts_file));
  }
  if (options.host_key_check) {
    add("-o", concat("StrictHostKeyChecking=", keyword(*options.host_key_check)));
  }
  add("-o", concat("ConnectTimeout=", std::max<int64_t>(1, (options.timeout_ms + 999) / 1000)));
  if (!may_ask) {
    add("-o", "BatchMode=yes");
  }
  for (const std::string& option : options.ssh_options) {
    add("-o", option);
  }
  if (options.compress) {
    add("-C");
  }
  add(options.host);
  return std::unique_ptr<Transport>(std::make_unique<SshProgram>(options.host, std::move(argv)));
}

}  // namespace cpaway::transport
