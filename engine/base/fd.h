// UniqueFd owns one file descriptor. read_full and write_full loop over short transfers and EINTR.
#pragma once

#include <span>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace cpaway {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset(other.release());
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Reads until `into` is full or the end; returns how many bytes. Blocking descriptors only.
[[nodiscard]] Result<size_t> read_full(int fd, std::span<uint8_t> into);
[[nodiscard]] Status write_full(int fd, ByteSpan from);
// The same at an offset, which does not move the file's position.
[[nodiscard]] Result<size_t> pread_full(int fd, std::span<uint8_t> into, uint64_t offset);
[[nodiscard]] Status pwrite_full(int fd, ByteSpan from, uint64_t offset);
[[nodiscard]] Status set_nonblocking(int fd);

}  // namespace cpaway
