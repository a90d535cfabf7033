#include "tools/control_client.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "engine/base/strings.h"
#include "tools/control_socket.h"

namespace cpaway::tools {
namespace {

constexpr int kQueryTimeoutMs = 3000;
constexpr size_t kMaxAnswerSize = 64UL * 1024 * 1024;

Result<std::string> read_answer(int socket) {
  std::string text;
  std::array<char, 65536> block;
  while (text.size() < kMaxAnswerSize) {
    const ssize_t count = recv(socket, block.data(), block.size(), 0);
    if (count == 0) {
      return text;
    }
    if (count < 0 && errno != EINTR) {
      return fail_os(errno == EAGAIN ? ETIMEDOUT : errno, "control socket");
    }
    text.append(block.data(), count < 0 ? 0 : static_cast<size_t>(count));
  }
  return fail(Errc::limit, "control socket");
}

}  // namespace

Result<std::string> ask_daemon(const RunningDaemon& daemon, const std::string& request,
                               int timeout_ms) {
  CPAWAY_ASSIGN(const UniqueFd connection, open_control_socket());
  CPAWAY_TRY(limit_transfers(connection.get(), timeout_ms));
  const sockaddr_un address = control_address(daemon.directory.get());
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_os(errno, concat("mount ", daemon.record.mountpoint));
  }
  const std::string line = request.empty() ? "" : concat(request, "\n");
  if (send(connection.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0 ||
      shutdown(connection.get(), SHUT_WR) != 0) {
    return fail_os(errno, "control socket");
  }
  return read_answer(connection.get());
}

Result<MountStatus> query_daemon(const RunningDaemon& daemon) {
  CPAWAY_ASSIGN(const std::string text, ask_daemon(daemon, "", kQueryTimeoutMs));
  return parse_mount_status(text);
}

std::optional<RunningDaemon> find_daemon(const std::string& base, const std::string& mountpoint) {
  for (RunningDaemon& daemon : running_daemons(base)) {
    if (daemon.record.mountpoint == mountpoint) {
      return std::move(daemon);
    }
  }
  return std::nullopt;
}

}  // namespace cpaway::tools
