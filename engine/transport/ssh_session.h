// One libssh session: its handle, the event loop over its socket, and waiting with a deadline.
//
// libssh is included by files named ssh_* only. The session never blocks: every call that would
// is repeated by drive(). One thread at a time.
#pragma once

#include <libssh/libssh.h>

#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/transport/deadline.h"
#include "engine/transport/transport.h"

namespace cpaway::transport {

class SshSession {
 public:
  // `label` names the host in errors.
  [[nodiscard]] static Result<std::unique_ptr<SshSession>> create(std::string label);
  ~SshSession();
  SshSession(const SshSession&) = delete;
  SshSession& operator=(const SshSession&) = delete;

  [[nodiscard]] ssh_session raw() const { return session_; }
  [[nodiscard]] const std::string& label() const { return label_; }
  // What libssh said last, fit for a terminal.
  [[nodiscard]] std::string error_text() const;
  // The link is gone, or the protocol failed.
  [[nodiscard]] bool broken() const;
  [[nodiscard]] Error lost() const;

  // Repeats step() while it returns `again`, with waits for the peer between.
  template <class Step>
  [[nodiscard]] Result<int> drive(int again, const Deadline& deadline, Step step) {
    for (int rc = step();; rc = step()) {
      if (rc != again) {
        return rc;
      }
      if (deadline.passed()) {
        return fail(Errc::timeout, concat_no_answer());
      }
      CPAWAY_TRY(wait_for_peer(deadline.left_ms()));
    }
  }

  // Key exchange over options already set. Errc::unreachable, or timeout.
  [[nodiscard]] Status connect(const Deadline& deadline);

  // One turn of the event loop: returns when something happened on the socket or on `wake_fd`
  // (-1 for none), which woken() then tells. Errc::connection_lost where the link is gone.
  [[nodiscard]] Status poll_once(int wake_fd, int timeout_ms);
  [[nodiscard]] bool woken() const { return woken_; }

 private:
  explicit SshSession(std::string label) : label_(std::move(label)) {}
  [[nodiscard]] Status wait_for_peer(int timeout_ms);
  [[nodiscard]] std::string concat_no_answer() const;
  void watch(int wake_fd);

  const std::string label_;
  ssh_session session_ = nullptr;
  ssh_event event_ = nullptr;
  bool in_event_ = false;
  int wake_fd_ = -1;
  bool woken_ = false;
};

}  // namespace cpaway::transport
