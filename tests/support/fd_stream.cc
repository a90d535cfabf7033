#include "tests/support/fd_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace cpaway::testing {
namespace {

Result<size_t> outcome(ssize_t n, const char* what) {
  if (n >= 0) {
    return static_cast<size_t>(n);
  }
  if (errno == EAGAIN || errno == EINTR) {
    return size_t{0};
  }
  return fail(Errc::connection_lost, what);
}

}  // namespace

FdStream::FdStream(UniqueFd socket) : socket_(std::move(socket)) {
  ignore(set_nonblocking(socket_.get()), "a fresh socket takes the flag");
}

Status FdStream::wait(bool want_write, int wake_fd, int timeout_ms) {
  std::array<pollfd, 2> fds = {{{socket_.get(), POLLIN, 0}, {wake_fd, POLLIN, 0}}};
  if (want_write) {
    fds[0].events |= POLLOUT;
  }
  if (::poll(fds.data(), fds.size(), timeout_ms) < 0 && errno != EINTR) {
    return fail_os(errno, "poll");
  }
  return {};
}

Result<size_t> FdStream::read_some(std::span<uint8_t> into) {
  const ssize_t n = ::recv(socket_.get(), into.data(), into.size(), 0);
  if (n == 0 && !into.empty()) {
    return fail(Errc::connection_lost, "the agent has ended");
  }
  return outcome(n, "recv");
}

Result<size_t> FdStream::write_some(ByteSpan from) {
  return outcome(::send(socket_.get(), from.data(), from.size(), MSG_NOSIGNAL), "send");
}

void FdStream::close_write() {
  ::shutdown(socket_.get(), SHUT_WR);
}

}  // namespace cpaway::testing
