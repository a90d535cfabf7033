// A Stream over an exec channel of a libssh session.
//
// Bounds: what was received and not read is at most the receive window (kWindow), since libssh
// opens the window only as it is read; what was written and not sent is at most kMaxWrite, so that
// an interactive frame never waits behind a long queue. Measured with libssh 0.10.
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <memory>
#include <optional>
#include <string>

#include "engine/base/stream.h"
#include "engine/transport/ssh_session.h"
#include "engine/transport/terminal_text.h"

namespace cpaway::transport {

class SshStream : public Stream {
 public:
  static constexpr uint32_t kWindow = 4U << 20U;
  static constexpr uint32_t kMaxWrite = 256U << 10U;

  // Opens a channel and runs `command`. The session outlives the stream. Errc::exec where the
  // server refuses.
  [[nodiscard]] static Result<std::unique_ptr<SshStream>> open(SshSession& session,
                                                               const std::string& command,
                                                               const Deadline& deadline);
  ~SshStream() override;

  Status wait(bool want_write, int wake_fd, int timeout_ms) override;
  // The end is seen when the server closes the channel: by then it has told the exit status.
  Result<size_t> read_some(std::span<uint8_t> into) override;
  Result<size_t> write_some(ByteSpan from) override;
  void close_write() override;
  std::string take_stderr() override { return stderr_.take(); }
  std::optional<int> exit_status() override { return exit_status_; }

 private:
  explicit SshStream(SshSession& session);
  [[nodiscard]] Status start(const std::string& command, const Deadline& deadline);
  [[nodiscard]] Status refill();
  [[nodiscard]] bool readable() const { return inbox_begin_ < inbox_end_ || arrived_ || closed_; }
  [[nodiscard]] bool writable() const;

  static int on_data(ssh_session session, ssh_channel channel, void* data, uint32_t size,
                     int is_stderr, void* self);
  static void on_close(ssh_session session, ssh_channel channel, void* self);
  static void on_exit_status(ssh_session session, ssh_channel channel, int status, void* self);
  static void on_exit_signal(ssh_session session, ssh_channel channel, const char* signal, int core,
                             const char* message, const char* language, void* self);

  SshSession& session_;
  ssh_channel channel_ = nullptr;
  ssh_channel_callbacks_struct callbacks_{};

  // Received and not yet read: [inbox_begin_, inbox_end_) of kWindow bytes.
  std::unique_ptr<uint8_t[]> inbox_;
  size_t inbox_begin_ = 0;
  size_t inbox_end_ = 0;
  bool arrived_ = false;        // libssh holds more
  uint32_t since_grown_ = 0;    // bytes taken since the window was last opened whole
  bool write_stalled_ = false;  // the last write took nothing: let the session work first
  bool closed_ = false;         // by the server
  StderrTail stderr_;
  std::optional<int> exit_status_;
};

}  // namespace cpaway::transport
