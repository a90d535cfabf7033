// Writing that looks at what arrived: each block is read back and it is the bytes read that count.
//
// Read-back comes from the page cache: it finds damage on the way through the agent and a
// filesystem that loses writes, not a disk that lies later.
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/hash/digest.h"

namespace cpaway::agent {

// A buffer of kBlockSize for the calling thread, valid until the thread ends. Each function below
// that returns a span of it says so; one use at a time.
[[nodiscard]] std::span<uint8_t> thread_buffer();

// A second one, for blocks that are put together there.
[[nodiscard]] std::span<uint8_t> assembly_buffer();

// Writes `bytes` (kBlockSize at most) at `offset` and returns what is there then, in the thread's
// buffer. EFBIG for an offset beyond any file; the fault damage_block strikes here.
[[nodiscard]] Result<ByteSpan> write_and_read_back(int fd, ByteSpan bytes, uint64_t offset);
// Only writes, for files that may not be read.
[[nodiscard]] Status write_at(int fd, ByteSpan bytes, uint64_t offset);
// Writes at the end of the file, in one step where the filesystem can, and returns where that was.
// ENOSPC where a part of it did not fit. Moves the descriptor's position.
[[nodiscard]] Result<uint64_t> append(int fd, ByteSpan bytes);
// Writes what was appended at `offset` once more where it reads otherwise; Errc::verify where that
// does not help. What others have cut off meanwhile is not damaged.
[[nodiscard]] Status mend_appended(int fd, ByteSpan bytes, uint64_t offset);
// Up to `size` bytes (EINVAL above kBlockSize) at `offset`, fewer at the end of the file.
[[nodiscard]] Result<Bytes> read_at(int fd, uint64_t offset, uint32_t size);
// The same into `buffer`; how much there was. Nothing beyond the end of any file.
[[nodiscard]] Result<size_t> read_range(int fd, std::span<uint8_t> buffer, uint64_t offset);
// Feeds the file's bytes from `from` up to `to`, or its end, to `digest`; returns where it ended.
[[nodiscard]] Result<uint64_t> digest_range(int fd, uint64_t from, uint64_t to,
                                            hash::Sha256& digest);

}  // namespace cpaway::agent
