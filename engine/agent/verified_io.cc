#include "engine/agent/verified_io.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>

#include "engine/base/fault.h"
#include "engine/base/fd.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {
namespace {

using Buffer = std::unique_ptr<uint8_t[]>;

// Not zeroed, so that idle threads keep no pages.
Buffer new_buffer() {
  return std::make_unique_for_overwrite<uint8_t[]>(wire::kBlockSize);
}

bool fits(uint64_t offset, size_t size) {
  return offset <= static_cast<uint64_t>(INT64_MAX) - size;
}

// Empty where no fault strikes.
Bytes damaged_by_fault(ByteSpan bytes) {
  Bytes damaged;
  if (!bytes.empty() && fault::take(fault::points().damage_block)) {
    damaged.assign(bytes.begin(), bytes.end());
    damaged[damaged.size() / 2] ^= 0x40U;
  }
  return damaged;
}

}  // namespace

std::span<uint8_t> thread_buffer() {
  static thread_local const Buffer buffer = new_buffer();
  return {buffer.get(), wire::kBlockSize};
}

std::span<uint8_t> assembly_buffer() {
  static thread_local const Buffer buffer = new_buffer();
  return {buffer.get(), wire::kBlockSize};
}

Status write_at(int fd, ByteSpan bytes, uint64_t offset) {
  if (!fits(offset, bytes.size())) {
    return fail_os(EFBIG, "offset");
  }
  const Bytes damaged = damaged_by_fault(bytes);
  return pwrite_full(fd, damaged.empty() ? bytes : ByteSpan(damaged), offset);
}

Result<ByteSpan> write_and_read_back(int fd, ByteSpan bytes, uint64_t offset) {
  CPAWAY_TRY(write_at(fd, bytes, offset));
  const std::span<uint8_t> buffer = thread_buffer().first(bytes.size());
  CPAWAY_ASSIGN(const size_t size, pread_full(fd, buffer, offset));
  return ByteSpan(buffer.first(size));
}

Result<uint64_t> append(int fd, ByteSpan bytes) {
  const Bytes damaged = damaged_by_fault(bytes);
  const ByteSpan sent = damaged.empty() ? bytes : ByteSpan(damaged);
  const iovec part{const_cast<uint8_t*>(sent.data()), sent.size()};
  // At the end, and the position behind it.
  const ssize_t written = ::pwritev2(fd, &part, 1, -1, RWF_APPEND);
  if (written < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
    const off_t end = ::lseek(fd, 0, SEEK_END);
    CPAWAY_TRY(end < 0 ? Status(fail_os(errno, "append"))
                       : pwrite_full(fd, sent, static_cast<uint64_t>(end)));
    return static_cast<uint64_t>(end);
  }
  const off_t end = written < 0 ? -1 : ::lseek(fd, 0, SEEK_CUR);
  if (end < 0) {
    return fail_os(errno, "append");
  }
  // What did not fit cannot go behind it any more: another's may be there.
  if (static_cast<size_t>(written) < sent.size()) {
    return fail_os(ENOSPC, "append");
  }
  return static_cast<uint64_t>(end - written);
}

Status mend_appended(int fd, ByteSpan bytes, uint64_t offset) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    CPAWAY_ASSIGN(const Bytes read, read_at(fd, offset, static_cast<uint32_t>(bytes.size())));
    if (read.size() < bytes.size() || std::equal(read.begin(), read.end(), bytes.begin())) {
      return {};
    }
    CPAWAY_TRY(write_at(fd, bytes, offset));
  }
  return fail(Errc::verify, "append");
}

Result<Bytes> read_at(int fd, uint64_t offset, uint32_t size) {
  if (size > wire::kBlockSize || !fits(offset, size)) {
    return fail_os(EINVAL, "read");
  }
  Bytes bytes(size);
  CPAWAY_ASSIGN(const size_t got, pread_full(fd, bytes, offset));
  bytes.resize(got);
  return bytes;
}

Result<size_t> read_range(int fd, std::span<uint8_t> buffer, uint64_t offset) {
  if (!fits(offset, buffer.size())) {
    return size_t{0};
  }
  return pread_full(fd, buffer, offset);
}

Result<uint64_t> digest_range(int fd, uint64_t from, uint64_t to, hash::Sha256& digest) {
  const std::span<uint8_t> buffer = thread_buffer();
  while (from < to) {
    const size_t wanted = std::min<uint64_t>(buffer.size(), to - from);
    CPAWAY_ASSIGN(const size_t got, pread_full(fd, buffer.first(wanted), from));
    digest.update(buffer.first(got));
    from += got;
    if (got < wanted) {
      break;
    }
  }
  return from;
}

}  // namespace cpaway::agent
