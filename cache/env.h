// LMDB, and the only place that knows it: environment, transactions, cursors, as values that close
// themselves and errors with a type.
//
// Errors: Errc::limit for a full map or no free reader slot; Errc::verify where LMDB reports damage
// or a state that it cannot leave; Errc::version for a file of another LMDB format; otherwise the
// errno. That a key is not there is no error.
//
// An Env is shared by all threads. One write transaction exists at a time, on one thread. Read
// transactions are short: what they return points into the map and is gone with them, and while one
// is open no page freed since is used again. Transactions end before their Env.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

struct MDB_env;
struct MDB_txn;
struct MDB_cursor;

namespace cpaway::cache {

enum class Table : uint8_t {
  about,
  files,
  lists,
  index,
  uses,
  checkpoints,
  blocks,
  history,
  numbers,
  owners
};
inline constexpr size_t kTableCount = 10;

// True where the store must be set aside.
[[nodiscard]] bool is_damage(const Error& error);

class Env;

class ReadTxn {
 public:
  [[nodiscard]] static Result<ReadTxn> begin(Env& env);
  ReadTxn(ReadTxn&& other) noexcept;
  ReadTxn& operator=(ReadTxn&&) = delete;
  ~ReadTxn();

  [[nodiscard]] Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const;
  // Entries of the table.
  [[nodiscard]] Result<uint64_t> count(Table table) const;
  // Pages in use, as FORMAT.md counts them.
  [[nodiscard]] Result<uint64_t> pages_used() const;

 protected:
  friend class Cursor;
  ReadTxn(Env& env, MDB_txn* txn) : env_(&env), txn_(txn) {}

  Env* env_;
  MDB_txn* txn_;  // null once committed or moved from
};

class WriteTxn : public ReadTxn {
 public:
  [[nodiscard]] static Result<WriteTxn> begin(Env& env);

  [[nodiscard]] Status put(Table table, ByteSpan key, ByteSpan value);
  // The key must sort after all others of the table. Fills pages to the brim.
  [[nodiscard]] Status append(Table table, ByteSpan key, ByteSpan value);
  // False where there was none.
  [[nodiscard]] Result<bool> erase(Table table, ByteSpan key);
  // Ends the transaction; destroyed without it, nothing has happened.
  [[nodiscard]] Status commit();

 private:
  friend class Env;
  using ReadTxn::ReadTxn;
  [[nodiscard]] Status put_flags(Table table, ByteSpan key, ByteSpan value, unsigned flags);
};

// Walks one table in order of keys. Ends before its transaction; a write invalidates it.
class Cursor {
 public:
  [[nodiscard]] static Result<Cursor> open(const ReadTxn& txn, Table table);
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();

  // Each is false at the end.
  [[nodiscard]] Result<bool> first();
  [[nodiscard]] Result<bool> last();
  [[nodiscard]] Result<bool> seek(ByteSpan key);  // to the key or the first after it
  [[nodiscard]] Result<bool> next();
  [[nodiscard]] Result<bool> previous();

  [[nodiscard]] ByteSpan key() const { return key_; }
  [[nodiscard]] ByteSpan value() const { return value_; }

 private:
  explicit Cursor(MDB_cursor* cursor) : cursor_(cursor) {}
  [[nodiscard]] Result<bool> move(int operation);

  MDB_cursor* cursor_;
  ByteSpan key_;
  ByteSpan value_;
};

class Env {
 public:
  // The directory exists and no one else has it open. The file, where there is one, has been
  // checked (env_check.h).
  [[nodiscard]] static Result<std::unique_ptr<Env>> open(const std::string& directory,
                                                         uint64_t map_size);
  Env(const Env&) = delete;
  Env& operator=(const Env&) = delete;
  ~Env();

  // Also the newest meta page is on the disk.
  [[nodiscard]] Status sync();

 private:
  friend class ReadTxn;
  friend class WriteTxn;
  friend class Cursor;
  Env() = default;
  [[nodiscard]] Status open_tables();

  MDB_env* env_ = nullptr;
  std::array<unsigned, kTableCount> tables_{};  // constant after open
};

}  // namespace cpaway::cache
