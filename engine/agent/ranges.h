// Parts of files: their holes, room for them, and copies that never cross the link.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace cpaway::agent {

// Where data, or a hole, begins at `offset` or behind it. ENXIO beyond the end.
[[nodiscard]] Result<uint64_t> seek_in(int fd, uint64_t offset, bool hole);

// fallocate(2), with the bits of the protocol.
[[nodiscard]] Status allocate_in(int fd, uint32_t mode, uint64_t offset, uint64_t size);

struct CopyJob {
  int source = -1;
  uint64_t source_offset = 0;
  int target = -1;
  uint64_t offset = 0;
  uint64_t size = 0;
  bool reads_back = true;  // false where the target cannot be read
};

// Gets each piece as it was read back from the target, in order; holes are not told.
using Copied = std::function<void(uint64_t offset, ByteSpan piece)>;

// Copies kMaxCopySize bytes at most, by copy_file_range(2) where the filesystem can, and compares
// what is there then with the source. Holes stay holes. Returns how much, less at the source's end
// and where only the rest failed.
[[nodiscard]] Result<uint64_t> copy_in(const CopyJob& job, const Copied& copied);

}  // namespace cpaway::agent
