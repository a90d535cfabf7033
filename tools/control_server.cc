#include "tools/control_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>

#include "engine/base/log.h"
#include "tools/control_socket.h"

namespace cpaway::tools {
namespace {

constexpr int kBacklog = 16;
constexpr int kAnswerTimeoutMs = 1000;

// Not write_full: a client that went away must not raise SIGPIPE.
void send_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) {
      return;
    }
    text.remove_prefix(static_cast<size_t>(count));
  }
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(int directory,
                                                            std::function<std::string()> answer) {
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
      new ControlServer(std::move(listener), std::move(stop), std::move(answer)));
}

ControlServer::ControlServer(UniqueFd listener, UniqueFd stop, std::function<std::string()> answer)
    : listener_(std::move(listener)),
      stop_(std::move(stop)),
      answer_(std::move(answer)),
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
  const UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection || !limit_transfers(connection.get(), kAnswerTimeoutMs)) {
    return;
  }
  try {
    send_all(connection.get(), answer_());
  } catch (const std::exception& error) {
    log::warning("control socket: ", error.what());
  }
}

}  // namespace cpaway::tools
