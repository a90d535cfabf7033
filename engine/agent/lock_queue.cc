#include "engine/agent/lock_queue.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <ctime>

#include "engine/agent/attr.h"
#include "engine/agent/no_signals.h"
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/wire/pack.h"

namespace cpaway::agent {
namespace {

constexpr std::string_view kNamePrefix = "cpaway-agent-";
constexpr size_t kNameDigits = 32;
// An old agent needs a moment to let go, and a successor must not wait long for one that hangs.
constexpr int kTakeOverMs = 2000;

bool valid_name(std::string_view name) {
  return name.size() == kNamePrefix.size() + kNameDigits && name.starts_with(kNamePrefix) &&
         name.find_first_not_of("0123456789abcdef", kNamePrefix.size()) == std::string_view::npos;
}

// In the abstract namespace: nothing to clean up, and gone with the process.
socklen_t abstract_address(const std::string& name, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

UniqueFd open_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

UniqueFd listen_as(const std::string& name) {
  UniqueFd fd = open_socket();
  sockaddr_un address;
  const socklen_t size = abstract_address(name, address);
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(fd.get(), 1) != 0) {
    fd.reset();
  }
  return fd;
}

// True where the process at the other end is this user's.
bool is_ours(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::geteuid();
}

int try_flock(int fd, uint8_t type) {
  int operation = LOCK_UN;
  if (type != wire::kUnlock) {
    operation = LOCK_NB | (type == wire::kWriteLock ? LOCK_EX : LOCK_SH);
  }
  return ::flock(fd, operation) == 0 ? 0 : errno;
}

int try_range(int fd, const wire::Lock& request) {
  struct flock range {};
  range.l_type = F_UNLCK;
  if (request.type != wire::kUnlock) {
    range.l_type = request.type == wire::kWriteLock ? F_WRLCK : F_RDLCK;
  }
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(request.first);
  range.l_len =
      request.last == wire::kLockEnd ? 0 : static_cast<off_t>(request.last - request.first + 1);
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

// 0, or the errno; EAGAIN where another has it.
int try_lock(const Handle& handle, const wire::Lock& request) {
  const int fd = handle.fd.get();
  const int error =
      handle.lock_family == wire::kFlock ? try_flock(fd, request.type) : try_range(fd, request);
  return error == EACCES ? EAGAIN : error;
}

void let_go(const Handle& handle) {
  // Nothing to be done where it fails: closing the descriptor is what is left.
  static_cast<void>(try_lock(handle, wire::Lock{}));
}

}  // namespace

wire::Lock::Answer describe_lock(const Handle& handle) {
  wire::Lock::Answer answer;
  if (auto attr = read_attr(handle.fd.get())) {
    answer.attr = *attr;
  }
  answer.now = time_now();
  return answer;
}

LockQueue::~LockQueue() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void LockQueue::wake() const {
  const uint64_t one = 1;
  // A full counter already wakes the thread.
  [[maybe_unused]] const ssize_t n = ::write(wake_fd_.get(), &one, sizeof one);
}

void LockQueue::start_locked() {
  if (thread_.joinable()) {
    return;
  }
  wake_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  ended_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  std::string name = std::string(kNamePrefix) + random_hex(kNameDigits);
  listener_ = listen_as(name);
  if (listener_) {
    name_ = std::move(name);
  }
  const NoSignals none;
  thread_ = std::thread([this] { run(); });
}

std::string LockQueue::add(const std::shared_ptr<Handle>& handle) {
  const MutexLock lock(mutex_);
  start_locked();
  handles_.emplace(handle.get(), handle);
  return name_;
}

void LockQueue::remove(const std::shared_ptr<Handle>& handle) {
  std::vector<Decided> decided;
  {
    const MutexLock lock(mutex_);
    if (handles_.erase(handle.get()) == 0) {
      return;
    }
    decided = withdraw_locked(handle.get(), nullptr, EINTR);
    let_go(*handle);
    retry_all_ = true;
  }
  wake();
  answer(decided);
}

Result<bool> LockQueue::take(const std::shared_ptr<Handle>& handle, const wire::Lock& request,
                             uint32_t id) {
  const MutexLock lock(mutex_);
  if (ended_ || !handles_.contains(handle.get())) {
    return fail_os(EIO, "locks");
  }
  const int error = try_lock(*handle, request);
  // Less may be held than before: also of an flock whose kind could not be changed.
  if (request.type != wire::kWriteLock || handle->lock_family == wire::kFlock) {
    retry_all_ = true;
    wake();
  }
  if (error == 0) {
    return true;
  }
  if (error != EAGAIN || !request.wait) {
    return fail_os(error, "lock");
  }
  if (waiting_.size() >= kMaxWaiting) {
    return fail_os(ENOLCK, "too many wait");
  }
  waiting_.push_back({handle, request, id, kFirstPauseMs, system_clock().now_ms() + kFirstPauseMs});
  wake();
  return false;
}

void LockQueue::cancel(const std::shared_ptr<Handle>& handle, uint32_t ticket) {
  std::vector<Decided> decided;
  {
    const MutexLock lock(mutex_);
    decided = withdraw_locked(handle.get(), &ticket, EINTR);
  }
  answer(decided);
}

bool LockQueue::in_use() const {
  const MutexLock lock(mutex_);
  return !handles_.empty();
}

std::vector<LockQueue::Decided> LockQueue::withdraw_locked(const Handle* handle,
                                                           const uint32_t* ticket, int error) {
  std::vector<Decided> decided;
  std::erase_if(waiting_, [&](Waiting& waiting) {
    const bool meant = (handle == nullptr || waiting.handle.get() == handle) &&
                       (ticket == nullptr || waiting.request.ticket == *ticket);
    if (meant) {
      decided.push_back({std::move(waiting), error});
    }
    return meant;
  });
  return decided;
}

void LockQueue::answer(const std::vector<Decided>& decided) {
  for (const Decided& one : decided) {
    send_(one.error == 0
              ? wire::pack_answer(one.waiting.id, describe_lock(*one.waiting.handle))
              : wire::pack_error(one.waiting.id, os_error(one.error, "waiting for a lock")));
  }
}

int LockQueue::retry(std::vector<Decided>& decided) {
  const MutexLock lock(mutex_);
  const int64_t now_ms = system_clock().now_ms();
  const bool all = std::exchange(retry_all_, false);
  int64_t next_ms = INT64_MAX;
  std::erase_if(waiting_, [&](Waiting& waiting) {
    if (all || waiting.due_ms <= now_ms) {
      const int error = try_lock(*waiting.handle, waiting.request);
      if (error != EAGAIN) {
        decided.push_back({std::move(waiting), error});
        return true;
      }
    }
    if (waiting.due_ms <= now_ms) {
      waiting.pause_ms = std::min(waiting.pause_ms * 2, kLastPauseMs);
      waiting.due_ms = now_ms + waiting.pause_ms;
    }
    next_ms = std::min(next_ms, waiting.due_ms);
    return false;
  });
  return next_ms == INT64_MAX ? -1 : static_cast<int>(next_ms - now_ms);
}

void LockQueue::run() {
  for (;;) {
    std::vector<Decided> decided;
    const int sleep_ms = retry(decided);
    answer(decided);
    pollfd fds[2] = {{wake_fd_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    ::poll(fds, 2, sleep_ms);  // a negative descriptor is passed over
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(wake_fd_.get(), &count, sizeof count);
    {
      const MutexLock lock(mutex_);
      if (stopping_) {
        return;
      }
    }
    if ((fds[1].revents & POLLIN) != 0) {
      accept_successor();
    }
  }
}

// The connection's end tells the successor that the locks are gone.
void LockQueue::accept_successor() {
  const UniqueFd successor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!successor || !is_ours(successor.get())) {
    return;
  }
  std::vector<Decided> decided;
  {
    const MutexLock lock(mutex_);
    ended_ = true;
    decided = withdraw_locked(nullptr, nullptr, EIO);
    for (const auto& [key, handle] : handles_) {
      let_go(*handle);
    }
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(ended_fd_.get(), &one, sizeof one);
  answer(decided);
}

void LockQueue::take_over(const std::string& name) {
  if (!valid_name(name)) {
    return;
  }
  const UniqueFd fd = open_socket();
  sockaddr_un address;
  const socklen_t size = abstract_address(name, address);
  // Refused: the agent has gone already.
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return;
  }
  pollfd waiting{fd.get(), POLLIN, 0};
  ::poll(&waiting, 1, kTakeOverMs);
}

}  // namespace cpaway::agent
