#include "engine/transport/tcp_connect.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/base/strings.h"

namespace cpaway::transport {
namespace {

// getaddrinfo knows no deadline: it runs on a thread of its own, which is left to itself where the
// answer comes too late.
struct Lookup {
  Mutex mutex;
  CondVar ready;
  bool done CPAWAY_GUARDED_BY(mutex) = false;
  int failure CPAWAY_GUARDED_BY(mutex) = 0;
  addrinfo* found CPAWAY_GUARDED_BY(mutex) = nullptr;

  Lookup() = default;
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup() {
    if (found != nullptr) {
      freeaddrinfo(found);
    }
  }
};

void run_lookup(const std::shared_ptr<Lookup>& lookup, const std::string& host,
                const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  const MutexLock lock(lookup->mutex);
  lookup->failure = failure;
  lookup->found = failure == 0 ? found : nullptr;
  lookup->done = true;
  lookup->ready.notify_all();
}

struct Address {
  sockaddr_storage bytes;
  socklen_t size;
};

Result<std::vector<Address>> resolve(const std::string& host, unsigned port,
                                     const Deadline& deadline) {
  auto lookup = std::make_shared<Lookup>();
  std::thread([lookup, host, port] { run_lookup(lookup, host, concat(port)); }).detach();
  const MutexLock lock(lookup->mutex);
  while (!lookup->done && !deadline.passed()) {
    lookup->ready.wait_for_ms(lookup->mutex, deadline.left_ms());
  }
  if (!lookup->done) {
    return fail(Errc::unreachable, concat("cannot reach ", host, ": no answer to its name"));
  }
  if (lookup->failure != 0) {
    const bool unknown = lookup->failure == EAI_NONAME || lookup->failure == EAI_NODATA;
    return fail(Errc::unreachable, concat("cannot reach ", host, ": ",
                                          unknown ? "name does not resolve"
                                                  : concat("name does not resolve (",
                                                           gai_strerror(lookup->failure), ")")));
  }
  std::vector<Address> addresses;
  for (const addrinfo* one = lookup->found; one != nullptr; one = one->ai_next) {
    Address address{};
    std::memcpy(&address.bytes, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
    addresses.push_back(address);
  }
  return addresses;
}

// 0 or an errno.
int finish_connect(int fd, int timeout_ms) {
  pollfd connecting{fd, POLLOUT, 0};
  const Deadline deadline(timeout_ms);
  int ready = 0;
  do {
    ready = poll(&connecting, 1, deadline.left_ms());
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    return ETIMEDOUT;
  }
  int failure = 0;
  socklen_t size = sizeof failure;
  if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0) {
    return errno;
  }
  return failure;
}

Result<UniqueFd> connect_address(const Address& address, int timeout_ms) {
  UniqueFd fd(socket(address.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    return fail_os(errno, "socket");
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.bytes), address.size) == 0) {
    return fd;
  }
  const int failure = errno == EINPROGRESS ? finish_connect(fd.get(), timeout_ms) : errno;
  if (failure != 0) {
    return fail_os(failure, "connect");
  }
  return fd;
}

std::string reason(int failure) {
  if (failure == ETIMEDOUT) {
    return "no answer";
  }
  std::string text = std::strerror(failure);
  text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

Result<UniqueFd> tcp_connect(const std::string& host, unsigned port, const Deadline& deadline) {
  CPAWAY_ASSIGN(const auto addresses, resolve(host, port, deadline));
  int failure = EADDRNOTAVAIL;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const int share_ms = deadline.left_ms() / static_cast<int>(addresses.size() - i);
    auto fd = connect_address(addresses[i], share_ms);
    if (fd) {
      return fd;
    }
    failure = fd.error().os_errno;
  }
  return fail(Errc::unreachable,
              concat("cannot reach ", host, " port ", port, ": ", reason(failure)));
}

}  // namespace cpaway::transport
