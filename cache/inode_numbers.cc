#include "cache/inode_numbers.h"

namespace cpaway::cache {
namespace {

Result<std::optional<NumberEntry>> read_entry(const ReadTxn& txn, ByteSpan file, Health& health) {
  CPAWAY_ASSIGN(const auto value, txn.get(Table::numbers, file));
  if (!value) {
    return std::optional<NumberEntry>();
  }
  auto entry = decode_inode_number(*value);
  if (!entry) {
    health.add_bad_value();
  }
  return entry;
}

// The number of `file`, with what says whose it is.
Status erase_number(WriteTxn& txn, ByteSpan file, Health& health) {
  CPAWAY_ASSIGN(const auto entry, read_entry(txn, file, health));
  if (entry) {
    CPAWAY_TRY(txn.erase(Table::owners, number_key(entry->number)));
  }
  CPAWAY_TRY(txn.erase(Table::numbers, file));
  return {};
}

// One that is there already, where there are too many: any will do.
Status erase_after(WriteTxn& txn, ByteSpan file, Health& health, uint64_t limit) {
  CPAWAY_ASSIGN(const uint64_t count, txn.count(Table::numbers));
  if (count < limit) {
    return {};
  }
  Bytes victim;
  {
    CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::numbers));
    CPAWAY_ASSIGN(bool found, cursor.seek(file));
    if (!found) {
      CPAWAY_ASSIGN(found, cursor.first());
    }
    victim.assign(cursor.key().begin(), cursor.key().end());
  }
  return erase_number(txn, victim, health);
}

}  // namespace

Result<std::optional<uint64_t>> find_number(const ReadTxn& txn, const upload::FileIdentity& file,
                                            Health& health) {
  CPAWAY_ASSIGN(const auto entry, read_entry(txn, file_key(file.dev, file.ino), health));
  return entry && entry->is_of(file) ? std::optional(entry->number) : std::nullopt;
}

Result<std::optional<FileId>> find_owner(const ReadTxn& txn, uint64_t number, Health& health) {
  CPAWAY_ASSIGN(const auto value, txn.get(Table::owners, number_key(number)));
  if (!value) {
    return std::optional<FileId>();
  }
  const auto file = decode_file_key(*value);
  if (!file) {
    health.add_bad_value();
  }
  return file;
}

Status apply_number(WriteTxn& txn, FileId file, const NumberChange& change, Health& health,
                    uint64_t limit) {
  const Bytes key = file_key(file.dev, file.ino);
  if (!change.entry) {
    CPAWAY_ASSIGN(const auto known, read_entry(txn, key, health));
    return known && known->number == change.forgotten ? erase_number(txn, key, health) : Status{};
  }
  CPAWAY_TRY(erase_number(txn, key, health));
  CPAWAY_ASSIGN(const auto owner, find_owner(txn, change.entry->number, health));
  if (owner) {
    CPAWAY_TRY(txn.erase(Table::numbers, file_key(owner->dev, owner->ino)));
  }
  CPAWAY_TRY(erase_after(txn, key, health, limit));
  CPAWAY_TRY(txn.put(Table::numbers, key, encode_inode_number(*change.entry)));
  return txn.put(Table::owners, number_key(change.entry->number), key);
}

}  // namespace cpaway::cache
