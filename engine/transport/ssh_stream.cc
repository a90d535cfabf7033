#include "engine/transport/ssh_stream.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/base/strings.h"

namespace cpaway::transport {
namespace {

// The window is opened whole again after this many bytes, not after each packet.
constexpr uint32_t kGrowEvery = SshStream::kWindow / 4;

// RFC 4254, 6.10: names without SIG.
int signal_number(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, int>, 13> kSignals{{{"ABRT", SIGABRT},
                                                                       {"ALRM", SIGALRM},
                                                                       {"FPE", SIGFPE},
                                                                       {"HUP", SIGHUP},
                                                                       {"ILL", SIGILL},
                                                                       {"INT", SIGINT},
                                                                       {"KILL", SIGKILL},
                                                                       {"PIPE", SIGPIPE},
                                                                       {"QUIT", SIGQUIT},
                                                                       {"SEGV", SIGSEGV},
                                                                       {"TERM", SIGTERM},
                                                                       {"USR1", SIGUSR1},
                                                                       {"USR2", SIGUSR2}}};
  for (const auto& [known, number] : kSignals) {
    if (name == known) {
      return number;
    }
  }
  return 0;
}

}  // namespace

SshStream::SshStream(SshSession& session)
    : session_(session), inbox_(new uint8_t[kWindow]) {}  // pages are taken as they are used

Result<std::unique_ptr<SshStream>> SshStream::open(SshSession& session, const std::string& command,
                                                   const Deadline& deadline) {
  std::unique_ptr<SshStream> stream(new SshStream(session));
  CPAWAY_TRY(stream->start(command, deadline));
  return stream;
}

Status SshStream::start(const std::string& command, const Deadline& deadline) {
  channel_ = ssh_channel_new(session_.raw());
  if (channel_ == nullptr) {
    return fail(session_.lost());
  }
  callbacks_.userdata = this;
  callbacks_.channel_data_function = on_data;
  callbacks_.channel_close_function = on_close;
  callbacks_.channel_exit_status_function = on_exit_status;
  callbacks_.channel_exit_signal_function = on_exit_signal;
  ssh_callbacks_init(&callbacks_);
  ssh_set_channel_callbacks(channel_, &callbacks_);
  CPAWAY_ASSIGN(int rc, session_.drive(SSH_AGAIN, deadline,
                                       [this] { return ssh_channel_open_session(channel_); }));
  if (rc != SSH_OK && !session_.broken()) {
    return fail(Errc::exec,
                concat(session_.label(), " refuses a session: ", session_.error_text()));
  }
  if (rc == SSH_OK) {
    CPAWAY_ASSIGN(rc, session_.drive(SSH_AGAIN, deadline, [this, &command] {
      return ssh_channel_request_exec(channel_, command.c_str());
    }));
  }
  if (session_.broken()) {
    return fail(session_.lost());
  }
  if (rc != SSH_OK) {
    return fail(Errc::exec, concat(session_.label(), " does not allow to run commands"));
  }
  since_grown_ = kGrowEvery;
  return refill();
}

SshStream::~SshStream() {
  if (channel_ != nullptr) {
    // libssh keeps a channel until the server has closed it too; its callbacks go now.
    ssh_remove_channel_callbacks(channel_, &callbacks_);
    ssh_channel_free(channel_);
  }
}

int SshStream::on_data(ssh_session /*session*/, ssh_channel /*channel*/, void* data, uint32_t size,
                       int is_stderr, void* self) {
  auto* stream = static_cast<SshStream*>(self);
  if (is_stderr == 0) {
    stream->arrived_ = true;
    return 0;  // stays with libssh, which bounds it by the window, until refill()
  }
  stream->stderr_.append({static_cast<const uint8_t*>(data), size});
  return static_cast<int>(size);
}

void SshStream::on_close(ssh_session /*session*/, ssh_channel /*channel*/, void* self) {
  static_cast<SshStream*>(self)->closed_ = true;
}

void SshStream::on_exit_status(ssh_session /*session*/, ssh_channel /*channel*/, int status,
                               void* self) {
  static_cast<SshStream*>(self)->exit_status_ = status & 0xff;
}

void SshStream::on_exit_signal(ssh_session /*session*/, ssh_channel /*channel*/, const char* signal,
                               int /*core*/, const char* /*message*/, const char* /*language*/,
                               void* self) {
  static_cast<SshStream*>(self)->exit_status_ = 128 + signal_number(signal);
}

bool SshStream::writable() const {
  return !write_stalled_ && ssh_channel_window_size(channel_) > 0 &&
         (ssh_get_status(session_.raw()) & SSH_WRITE_PENDING) == 0;
}

Status SshStream::wait(bool want_write, int wake_fd, int timeout_ms) {
  const Deadline deadline(timeout_ms);
  while (!readable() && !(want_write && writable())) {
    const int left_ms = timeout_ms < 0 ? -1 : deadline.left_ms();
    CPAWAY_TRY(session_.poll_once(wake_fd, left_ms));
    write_stalled_ = false;
    if (session_.woken() || (left_ms >= 0 && deadline.passed())) {
      break;
    }
  }
  return {};
}

// Moves what libssh holds to the inbox, which is empty. Asking for more than is there makes
// libssh open the window that wide.
Status SshStream::refill() {
  const bool grow = since_grown_ >= kGrowEvery;
  const uint32_t wanted = grow ? kWindow : kWindow / 16;
  arrived_ = false;
  const int n = ssh_channel_read_timeout(channel_, inbox_.get(), wanted, 0, 0);
  if (n < 0 && n != SSH_AGAIN && session_.broken()) {
    return fail(session_.lost());
  }
  inbox_begin_ = 0;
  inbox_end_ = n > 0 ? static_cast<size_t>(n) : 0;
  arrived_ = arrived_ || inbox_end_ == wanted;
  since_grown_ = (grow ? 0 : since_grown_) + static_cast<uint32_t>(inbox_end_);
  return {};
}

Result<size_t> SshStream::read_some(std::span<uint8_t> into) {
  if (inbox_begin_ == inbox_end_ && arrived_) {
    CPAWAY_TRY(refill());
  }
  const size_t size = std::min(into.size(), inbox_end_ - inbox_begin_);
  if (size > 0) {
    std::memcpy(into.data(), inbox_.get() + inbox_begin_, size);
    inbox_begin_ += size;
    return size;
  }
  if (session_.broken()) {
    return fail(session_.lost());
  }
  if (closed_ && !arrived_) {
    return fail(Errc::connection_lost, exit_status_
                                           ? concat("the remote program ended with ", *exit_status_)
                                           : concat("the remote program ended"));
  }
  return 0;
}

Result<size_t> SshStream::write_some(ByteSpan from) {
  if (session_.broken()) {
    return fail(session_.lost());
  }
  if (closed_) {
    return fail(Errc::connection_lost, "the remote program has ended");
  }
  if (!writable()) {
    return 0;
  }
  const auto size = static_cast<uint32_t>(std::min<size_t>(from.size(), kMaxWrite));
  const int n = ssh_channel_write(channel_, from.data(), size);
  if (n < 0 && n != SSH_AGAIN) {
    return fail(session_.broken() ? session_.lost()
                                  : make_error(Errc::connection_lost, session_.error_text()));
  }
  write_stalled_ = n <= 0;
  return static_cast<size_t>(std::max(n, 0));
}

void SshStream::close_write() {
  // Where the link has gone meanwhile, the next read says so.
  ssh_channel_send_eof(channel_);
}

}  // namespace cpaway::transport
