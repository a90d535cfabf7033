#include "fs/device_io.h"

#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <span>

namespace cpaway::fs {
namespace {

std::atomic<bool> g_init_answered{false};

// Parts are libfuse's own stack: a header, and the answer to INIT where it has one.
void add_parallel_dirops(std::span<const iovec> parts) {
  constexpr size_t kFlagsEnd = offsetof(fuse_init_out, flags) + sizeof(fuse_init_out::flags);
  if (parts.size() < 2 || parts[1].iov_len < kFlagsEnd) {
    return;  // INIT was refused
  }
  char* flags = static_cast<char*>(parts[1].iov_base) + offsetof(fuse_init_out, flags);
  uint32_t value = 0;
  std::memcpy(&value, flags, sizeof value);
  value |= FUSE_PARALLEL_DIROPS;  // kernels before 4.7 do not know it, and ignore it
  std::memcpy(flags, &value, sizeof value);
}

ssize_t write_device(int fd, iovec* parts, int count, void* /*userdata*/) {
  if (!g_init_answered.exchange(true)) {
    add_parallel_dirops(std::span(parts, static_cast<size_t>(count)));
  }
  return ::writev(fd, parts, count);
}

ssize_t read_device(int fd, void* buffer, size_t size, void* /*userdata*/) {
  return ::read(fd, buffer, size);
}

}  // namespace

Status install_device_io(fuse_session* session) {
  static const fuse_custom_io io = {write_device, read_device, nullptr, nullptr};
  g_init_answered = false;
  const int result = fuse_session_custom_io(session, &io, fuse_session_fd(session));
  return result == 0 ? Status() : Status(fail_os(-result, "libfuse refuses custom I/O"));
}

}  // namespace cpaway::fs
