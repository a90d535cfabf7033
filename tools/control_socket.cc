#include "tools/control_socket.h"

#include <sys/time.h>

#include <cerrno>
#include <cstdio>

namespace cpaway::tools {

sockaddr_un control_address(int directory) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  static_cast<void>(std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s",
                                  directory, kControlSocketName));
  return address;
}

Result<UniqueFd> open_control_socket() {
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) {
    return fail_os(errno, "control socket");
  }
  return socket_fd;
}

Status limit_transfers(int socket, int timeout_ms) {
  const timeval limit = {timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
  if (setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
    return fail_os(errno, "control socket");
  }
  return {};
}

}  // namespace cpaway::tools
