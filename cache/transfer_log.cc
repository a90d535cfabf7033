#include "cache/transfer_log.h"

namespace cpaway::cache {
namespace {

constexpr uint64_t kMaxRecords = 1000;

}  // namespace

Result<std::vector<upload::TransferRecord>> recent_transfers(const ReadTxn& txn, uint64_t before,
                                                             size_t limit, Health& health) {
  std::vector<upload::TransferRecord> records;
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::history));
  CPAWAY_ASSIGN(bool found, cursor.last());
  while (found && records.size() < limit) {
    const auto number = decode_number_key(cursor.key());
    if (number && *number < before) {
      if (auto record = decode_transfer(cursor.value())) {
        records.push_back(std::move(*record));
      } else {
        health.add_bad_value();
      }
    }
    CPAWAY_ASSIGN(found, cursor.previous());
  }
  return records;
}

Result<uint64_t> next_transfer_number(const ReadTxn& txn) {
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::history));
  CPAWAY_ASSIGN(const bool found, cursor.last());
  return found ? decode_number_key(cursor.key()).value_or(0) + 1 : uint64_t{1};
}

Status add_transfer(WriteTxn& txn, const NumberedRecord& numbered) {
  CPAWAY_TRY(
      txn.put(Table::history, number_key(numbered.number), encode_transfer(numbered.record)));
  CPAWAY_ASSIGN(uint64_t count, txn.count(Table::history));
  for (; count > kMaxRecords; --count) {
    Bytes oldest;
    {
      CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::history));
      CPAWAY_ASSIGN(const bool found, cursor.first());
      if (!found) {
        break;
      }
      oldest.assign(cursor.key().begin(), cursor.key().end());
    }
    CPAWAY_TRY(txn.erase(Table::history, oldest));
  }
  return {};
}

}  // namespace cpaway::cache
