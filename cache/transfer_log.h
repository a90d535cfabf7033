// The history of transfers: the last thousand. Table history (FORMAT.md).
#pragma once

#include <vector>

#include "cache/changes.h"
#include "cache/env.h"
#include "cache/health.h"

namespace cpaway::cache {

// Newest first, those with a number below `before`, at most `limit`.
[[nodiscard]] Result<std::vector<upload::TransferRecord>> recent_transfers(const ReadTxn& txn,
                                                                           uint64_t before,
                                                                           size_t limit,
                                                                           Health& health);
// The number for the next record.
[[nodiscard]] Result<uint64_t> next_transfer_number(const ReadTxn& txn);
[[nodiscard]] Status add_transfer(WriteTxn& txn, const NumberedRecord& numbered);

}  // namespace cpaway::cache
