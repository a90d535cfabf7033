// The inode numbers that programs here know files by which have another one on the remote host.
// Tables numbers and owners (FORMAT.md).
#pragma once

#include <optional>

#include "cache/changes.h"
#include "cache/env.h"
#include "cache/health.h"

namespace cpaway::cache {

// ---- reading, on any thread

[[nodiscard]] Result<std::optional<uint64_t>> find_number(const ReadTxn& txn,
                                                          const upload::FileIdentity& file,
                                                          Health& health);
[[nodiscard]] Result<std::optional<FileId>> find_owner(const ReadTxn& txn, uint64_t number,
                                                       Health& health);

// ---- writing, on the thread of the writer

inline constexpr uint64_t kMaxInodeNumbers = uint64_t{1} << 20U;
// Where there are `limit` already, another one goes for the new one.
[[nodiscard]] Status apply_number(WriteTxn& txn, FileId file, const NumberChange& change,
                                  Health& health, uint64_t limit = kMaxInodeNumbers);

}  // namespace cpaway::cache
