#include "engine/transport/ssh_session.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "engine/base/strings.h"
#include "engine/transport/terminal_text.h"

namespace cpaway::transport {
namespace {

// Before the event loop has the session, libssh may hold bytes that poll(2) does not see.
constexpr int kBlindPollMs = 20;

int on_wake(socket_t /*fd*/, int /*revents*/, void* woken) {
  *static_cast<bool*>(woken) = true;
  return 0;
}

}  // namespace

Result<std::unique_ptr<SshSession>> SshSession::create(std::string label) {
  std::unique_ptr<SshSession> session(new SshSession(std::move(label)));
  session->session_ = ssh_new();
  session->event_ = ssh_event_new();
  if (session->session_ == nullptr || session->event_ == nullptr) {
    return fail_os(ENOMEM, "libssh");
  }
  ssh_set_blocking(session->session_, 0);
  return session;
}

SshSession::~SshSession() {
  watch(-1);
  if (in_event_) {
    ssh_event_remove_session(event_, session_);
  }
  if (event_ != nullptr) {
    ssh_event_free(event_);
  }
  if (session_ != nullptr) {
    ssh_disconnect(session_);
    ssh_free(session_);
  }
}

std::string SshSession::error_text() const {
  return terminal_text(ssh_get_error(session_));
}

bool SshSession::broken() const {
  return ssh_is_connected(session_) == 0 ||
         (ssh_get_status(session_) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0;
}

Error SshSession::lost() const {
  const std::string text = error_text();
  return make_error(Errc::connection_lost, text.empty() ? label_ : concat(label_, ": ", text));
}

std::string SshSession::concat_no_answer() const {
  return concat("cannot reach ", label_, ": no answer in time");
}

Status SshSession::connect(const Deadline& deadline) {
  auto done = drive(SSH_AGAIN, deadline, [this] { return ssh_connect(session_); });
  if (!done) {
    return fail(Errc::unreachable, done.error().context);
  }
  if (*done != SSH_OK) {
    return fail(Errc::unreachable, concat("cannot reach ", label_, ": ", error_text()));
  }
  in_event_ = ssh_event_add_session(event_, session_) == SSH_OK;
  if (!in_event_) {
    return fail_os(ENOMEM, "libssh event");
  }
  return {};
}

Status SshSession::wait_for_peer(int timeout_ms) {
  if (in_event_) {
    return poll_once(-1, timeout_ms);
  }
  pollfd socket{ssh_get_fd(session_), POLLIN, 0};
  if ((ssh_get_poll_flags(session_) & SSH_WRITE_PENDING) != 0) {
    socket.events |= POLLOUT;
  }
  if (poll(&socket, 1, std::min(timeout_ms, kBlindPollMs)) < 0 && errno != EINTR) {
    return fail_os(errno, "poll");
  }
  return {};
}

void SshSession::watch(int wake_fd) {
  if (wake_fd == wake_fd_) {
    return;
  }
  if (wake_fd_ >= 0) {
    ssh_event_remove_fd(event_, wake_fd_);
  }
  wake_fd_ = wake_fd;
  if (wake_fd_ >= 0) {
    ssh_event_add_fd(event_, wake_fd_, POLLIN, on_wake, &woken_);
  }
}

Status SshSession::poll_once(int wake_fd, int timeout_ms) {
  woken_ = false;
  watch(wake_fd);
  if (ssh_event_dopoll(event_, timeout_ms) == SSH_ERROR || broken()) {
    return fail(lost());
  }
  return {};
}

}  // namespace cpaway::transport
