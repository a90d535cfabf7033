#include "tools/control_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "tools/control_socket.h"

namespace cpaway::tools {
namespace {

constexpr int kBacklog = 16;
constexpr int kAnswerTimeoutMs = 1000;
// A client that only connects and reads gets its answer after this time.
constexpr int kRequestTimeoutMs = 200;
constexpr size_t kMaxRequestSize = 256;

// The line that comes, or what there is of it when the client has ended, the time is up or it is
// too long.
std::string read_request(int socket) {
  const int64_t deadline_ms = system_clock().now_ms() + kRequestTimeoutMs;
  std::array<char, kMaxRequestSize> line;
  size_t size = 0;
  while (size < line.size()) {
    pollfd ready = {socket, POLLIN, 0};
    const int64_t left_ms = std::max<int64_t>(0, deadline_ms - system_clock().now_ms());
    if (poll(&ready, 1, static_cast<int>(left_ms)) <= 0) {
      break;
    }
    const ssize_t count = recv(socket, line.data() + size, line.size() - size, 0);
    if (count <= 0) {
      break;
    }
    size += static_cast<size_t>(count);
    const std::string_view read(line.data(), size);
    if (const size_t end = read.find('\n'); end != std::string_view::npos) {
      return std::string(read.substr(0, end));
    }
  }
  return {line.data(), size};
}

}  // namespace

// Not write_full: a client that went away must not raise SIGPIPE.
void ControlReply::send(std::string_view text) const {
  while (!text.empty()) {
    const ssize_t count = ::send(connection_->get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) {
      break;
    }
    text.remove_prefix(static_cast<size_t>(count));
  }
  connection_->reset();
}

Result<std::unique_ptr<ControlServer>> ControlServer::start(int directory, Handler handler) {
  CPAWAY_ASSIGN(UniqueFd listener, open_control_socket());
  const sockaddr_un address = control_address(directory);
  static_cast<void>(unlinkat(directory, kControlSocketName, 0));  // of a daemon that was killed
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.get(), kBacklog) != 0) {
    return fail_os(errno, "control socket");
  }
  CPAWAY_TRY(set_nonblocking(listener.get()));  // a client may be gone before it is accepted
  UniqueFd stop(eventfd(0, EFD_CLOEXEC));
  if (!stop) {
    return fail_os(errno, "eventfd");
  }
  return std::unique_ptr<ControlServer>(
      new ControlServer(std::move(listener), std::move(stop), std::move(handler)));
}

ControlServer::ControlServer(UniqueFd listener, UniqueFd stop, Handler handler)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      handler_(std::move(handler)),
      thread_([this] { run(); }) {}

ControlServer::~ControlServer() {
  static_cast<void>(eventfd_write(stop_.get(), 1));
  thread_.join();
}

void ControlServer::run() {
  static_cast<void>(pthread_setname_np(pthread_self(), "control"));
  std::array<pollfd, 2> ready = {{{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (true) {
    if (poll(ready.data(), ready.size(), -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      log::error("control socket: poll failed, no status from now on");
      return;
    }
    if ((ready[1].revents & POLLIN) != 0) {
      return;
    }
    if ((ready[0].revents & POLLIN) != 0) {
      serve_one();
    }
  }
}

void ControlServer::serve_one() {
  UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection || !limit_transfers(connection.get(), kAnswerTimeoutMs)) {
    return;
  }
  try {
    const std::string request = read_request(connection.get());
    handler_(request, ControlReply(std::move(connection)));
  } catch (const std::exception& error) {
    log::warning("control socket: ", error.what());
  }
}

}  // namespace cpaway::tools
