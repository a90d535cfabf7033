#include "engine/agent/reply_writer.h"

#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "engine/base/clock.h"
#include "engine/base/fault.h"

namespace cpaway::agent {
namespace {

// Writes `parts` whole; sshd may have left the descriptor non-blocking, so EAGAIN waits.
bool write_parts(int fd, std::span<iovec> parts) {
  while (!parts.empty()) {
    const ssize_t n = ::writev(fd, parts.data(), static_cast<int>(parts.size()));
    if (n < 0 && errno == EAGAIN) {
      pollfd waiting{fd, POLLOUT, 0};
      ::poll(&waiting, 1, -1);
      continue;
    }
    if (n < 0 && errno != EINTR) {
      return false;
    }
    auto done = static_cast<size_t>(std::max<ssize_t>(n, 0));
    while (!parts.empty() && done >= parts.front().iov_len) {
      done -= parts.front().iov_len;
      parts = parts.subspan(1);
    }
    if (!parts.empty()) {
      parts.front().iov_base = static_cast<uint8_t*>(parts.front().iov_base) + done;
      parts.front().iov_len -= done;
    }
  }
  return true;
}

iovec part_of(const Bytes& bytes) {
  return {const_cast<uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

ReplyWriter::ReplyWriter(int fd) : fd_(fd), delay_ms_(fault::points().delay_reply_ms.load()) {
  if (delay_ms_ > 0) {
    delayer_ = std::thread([this] { run_delayed(); });
  }
}

ReplyWriter::~ReplyWriter() {
  {
    const MutexLock lock(delayed_mutex_);
    stopping_ = true;
  }
  delayed_changed_.notify_all();
  if (delayer_.joinable()) {
    delayer_.join();
  }
}

void ReplyWriter::send(wire::Frame frame) {
  if (delay_ms_ <= 0) {
    write_now(frame);
    return;
  }
  {
    const MutexLock lock(delayed_mutex_);
    delayed_.push_back({system_clock().now_ms() + delay_ms_, std::move(frame)});
  }
  delayed_changed_.notify_one();
}

void ReplyWriter::write_now(const wire::Frame& frame) {
  iovec parts[2] = {part_of(frame.head), {}};
  const size_t count = frame.bulk ? 2 : 1;
  if (frame.bulk) {
    parts[1] = part_of(*frame.bulk);
  }
  const MutexLock lock(mutex_);
  if (!broken_ && !write_parts(fd_, std::span(parts).first(count))) {
    broken_ = true;
  }
}

void ReplyWriter::run_delayed() {
  for (;;) {
    wire::Frame frame;
    {
      const MutexLock lock(delayed_mutex_);
      while (!stopping_ &&
             (delayed_.empty() || delayed_.front().due_ms > system_clock().now_ms())) {
        const int64_t wait_ms =
            delayed_.empty() ? 1000 : delayed_.front().due_ms - system_clock().now_ms();
        delayed_changed_.wait_for_ms(delayed_mutex_, std::max<int64_t>(wait_ms, 1));
      }
      if (delayed_.empty()) {
        return;
      }
      frame = std::move(delayed_.front().frame);
      delayed_.pop_front();
    }
    write_now(frame);
  }
}

}  // namespace cpaway::agent
