#include "engine/base/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace cpaway {
namespace {

// Calls transfer(done) until `size` bytes are through, the end (0) or an error.
template <typename Transfer>
Result<size_t> transfer_full(size_t size, const char* what, Transfer transfer) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n = transfer(done);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return fail_os(errno, what);
    }
    if (n == 0) {
      break;
    }
    done += static_cast<size_t>(n);
  }
  return done;
}

Status require_all(const Result<size_t>& written, size_t size, const char* what) {
  if (!written) {
    return fail(written.error());
  }
  if (*written != size) {
    return fail_os(EIO, what);
  }
  return {};
}

}  // namespace

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = fd;
}

Result<size_t> read_full(int fd, std::span<uint8_t> into) {
  return transfer_full(into.size(), "read", [&](size_t done) {
    return ::read(fd, into.data() + done, into.size() - done);
  });
}

Status write_full(int fd, ByteSpan from) {
  auto written = transfer_full(from.size(), "write", [&](size_t done) {
    return ::write(fd, from.data() + done, from.size() - done);
  });
  return require_all(written, from.size(), "write");
}

Result<size_t> pread_full(int fd, std::span<uint8_t> into, uint64_t offset) {
  return transfer_full(into.size(), "read", [&](size_t done) {
    return ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
  });
}

Status pwrite_full(int fd, ByteSpan from, uint64_t offset) {
  auto written = transfer_full(from.size(), "write", [&](size_t done) {
    return ::pwrite(fd, from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
  });
  return require_all(written, from.size(), "write");
}

Status set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return fail_os(errno, "fcntl");
  }
  return {};
}

}  // namespace cpaway
