#include "engine/transport/transport.h"

#include "engine/base/strings.h"
#include "engine/transport/child_stream.h"
#include "engine/transport/ssh_auth.h"
#include "engine/transport/ssh_config.h"
#include "engine/transport/ssh_host_key.h"
#include "engine/transport/ssh_program.h"
#include "engine/transport/ssh_stream.h"
#include "engine/transport/tcp_connect.h"

namespace cpaway::transport {
namespace {

class SshTransport : public Transport {
 public:
  SshTransport(std::unique_ptr<SshSession> session, int64_t timeout_ms)
      : session_(std::move(session)), timeout_ms_(timeout_ms) {}

  Result<std::unique_ptr<Stream>> exec(const std::string& command) override {
    CPAWAY_ASSIGN(auto stream, SshStream::open(*session_, command, Deadline(timeout_ms_)));
    return std::unique_ptr<Stream>(std::move(stream));
  }

 private:
  const std::unique_ptr<SshSession> session_;
  const int64_t timeout_ms_;
};

class LocalTransport : public Transport {
 public:
  Result<std::unique_ptr<Stream>> exec(const std::string& command) override {
    CPAWAY_ASSIGN(auto child, ChildStream::spawn({"/bin/sh", "-c", command}, nullptr));
    return std::unique_ptr<Stream>(std::move(child));
  }
};

// libssh owns the socket from here on.
Status give_socket(SshSession& session, UniqueFd socket) {
  socket_t fd = socket.get();
  if (ssh_options_set(session.raw(), SSH_OPTIONS_FD, &fd) != SSH_OK) {
    return fail(Errc::unreachable, session.error_text());
  }
  socket.release();
  return {};
}

Result<std::unique_ptr<Transport>> connect_libssh(const LoginOptions& options,
                                                  const Prompter& prompter) {
  Deadline deadline(options.timeout_ms);
  CPAWAY_ASSIGN(auto session, SshSession::create(options.host));
  CPAWAY_TRY(configure(*session, options));
  const Target target = configured_target(*session);
  if (!target.by_proxy) {
    CPAWAY_ASSIGN(UniqueFd socket, tcp_connect(target.host, target.port, deadline));
    CPAWAY_TRY(give_socket(*session, std::move(socket)));
  }
  CPAWAY_TRY(session->connect(deadline));
  CPAWAY_TRY(check_host_key(*session, options, target, prompter, deadline));
  CPAWAY_TRY(log_in(*session, options, target.user, prompter, deadline));
  return std::unique_ptr<Transport>(
      std::make_unique<SshTransport>(std::move(session), options.timeout_ms));
}

}  // namespace

Result<std::unique_ptr<Transport>> connect(const LoginOptions& options, const Prompter& prompter) {
  if (!options.ssh_command.empty()) {
    return ssh_program(options, static_cast<bool>(prompter));
  }
  return connect_libssh(options, prompter);
}

std::unique_ptr<Transport> local_transport() {
  return std::make_unique<LocalTransport>();
}

}  // namespace cpaway::transport
