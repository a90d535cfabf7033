#include "cache/env.h"

#include <lmdb.h>

#include <utility>

#include "engine/base/strings.h"

namespace cpaway::cache {
namespace {

constexpr unsigned kMaxReaders = 512;
constexpr unsigned kOwnTables = 2;  // LMDB's own: the list of free pages, the list of tables
constexpr unsigned kMetaPages = 2;
constexpr std::array<const char*, kTableCount> kTableNames = {
    "about",       "files",  "lists",   "index",   "uses",
    "checkpoints", "blocks", "history", "numbers", "owners"};

Errc code_of(int result) {
  switch (result) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_READERS_FULL:
    case MDB_DBS_FULL:
      return Errc::limit;
    case MDB_VERSION_MISMATCH:
      return Errc::version;
    default:
      return result > 0 ? Errc::os : Errc::verify;
  }
}

Error error_of(int result, std::string_view what) {
  const Errc code = code_of(result);
  return code == Errc::os ? os_error(result, std::string(what))
                          : make_error(code, concat(what, ": ", mdb_strerror(result)));
}

MDB_val to_val(ByteSpan bytes) {
  static constexpr uint8_t kNothing = 0;  // LMDB copies from the address of an empty value too
  const uint8_t* data = bytes.empty() ? &kNothing : bytes.data();
  return {bytes.size(), const_cast<uint8_t*>(data)};
}

ByteSpan to_span(const MDB_val& value) {
  return {static_cast<const uint8_t*>(value.mv_data), value.mv_size};
}

size_t number_of(Table table) {
  return static_cast<size_t>(table);
}

}  // namespace

bool is_damage(const Error& error) {
  return error.code == Errc::verify || error.code == Errc::version;
}

// ---- transactions

Result<ReadTxn> ReadTxn::begin(Env& env) {
  MDB_txn* txn = nullptr;
  if (const int result = mdb_txn_begin(env.env_, nullptr, MDB_RDONLY, &txn); result != 0) {
    return fail(error_of(result, "begin to read"));
  }
  return ReadTxn(env, txn);
}

ReadTxn::ReadTxn(ReadTxn&& other) noexcept
    : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}

ReadTxn::~ReadTxn() {
  if (txn_ != nullptr) {
    mdb_txn_abort(txn_);
  }
}

Result<std::optional<ByteSpan>> ReadTxn::get(Table table, ByteSpan key) const {
  MDB_val key_val = to_val(key);
  MDB_val value;
  const int result = mdb_get(txn_, env_->tables_[number_of(table)], &key_val, &value);
  if (result == MDB_NOTFOUND) {
    return std::optional<ByteSpan>();
  }
  if (result != 0) {
    return fail(error_of(result, "read"));
  }
  return std::optional<ByteSpan>(to_span(value));
}

Result<uint64_t> ReadTxn::count(Table table) const {
  MDB_stat stat;
  if (const int result = mdb_stat(txn_, env_->tables_[number_of(table)], &stat); result != 0) {
    return fail(error_of(result, "count"));
  }
  return uint64_t{stat.ms_entries};
}

Result<uint64_t> ReadTxn::pages_used() const {
  uint64_t pages = kMetaPages;
  const auto add = [&](unsigned table) {
    MDB_stat stat;
    const int result = mdb_stat(txn_, table, &stat);
    if (result == 0) {
      pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    return result;
  };
  int result = 0;
  for (unsigned own = 0; own < kOwnTables && result == 0; ++own) {
    result = add(own);
  }
  for (size_t i = 0; i < kTableCount && result == 0; ++i) {
    result = add(env_->tables_[i]);
  }
  if (result != 0) {
    return fail(error_of(result, "count pages"));
  }
  return pages;
}

Result<WriteTxn> WriteTxn::begin(Env& env) {
  MDB_txn* txn = nullptr;
  if (const int result = mdb_txn_begin(env.env_, nullptr, 0, &txn); result != 0) {
    return fail(error_of(result, "begin to write"));
  }
  return WriteTxn(env, txn);
}

Status WriteTxn::put_flags(Table table, ByteSpan key, ByteSpan value, unsigned flags) {
  MDB_val key_val = to_val(key);
  MDB_val value_val = to_val(value);
  const int result = mdb_put(txn_, env_->tables_[number_of(table)], &key_val, &value_val, flags);
  if (result != 0) {
    return fail(error_of(result, "write"));
  }
  return {};
}

Status WriteTxn::put(Table table, ByteSpan key, ByteSpan value) {
  return put_flags(table, key, value, 0);
}

Status WriteTxn::append(Table table, ByteSpan key, ByteSpan value) {
  return put_flags(table, key, value, MDB_APPEND);
}

Result<bool> WriteTxn::erase(Table table, ByteSpan key) {
  MDB_val key_val = to_val(key);
  const int result = mdb_del(txn_, env_->tables_[number_of(table)], &key_val, nullptr);
  if (result != 0 && result != MDB_NOTFOUND) {
    return fail(error_of(result, "erase"));
  }
  return result == 0;
}

Status WriteTxn::commit() {
  if (const int result = mdb_txn_commit(std::exchange(txn_, nullptr)); result != 0) {
    return fail(error_of(result, "commit"));
  }
  return {};
}

// ---- cursors

Result<Cursor> Cursor::open(const ReadTxn& txn, Table table) {
  MDB_cursor* cursor = nullptr;
  const int result = mdb_cursor_open(txn.txn_, txn.env_->tables_[number_of(table)], &cursor);
  if (result != 0) {
    return fail(error_of(result, "open a cursor"));
  }
  return Cursor(cursor);
}

Cursor::Cursor(Cursor&& other) noexcept
    : cursor_(std::exchange(other.cursor_, nullptr)), key_(other.key_), value_(other.value_) {}

Cursor::~Cursor() {
  if (cursor_ != nullptr) {
    mdb_cursor_close(cursor_);
  }
}

Result<bool> Cursor::move(int operation) {
  MDB_val key = to_val(key_);
  MDB_val value;
  const int result = mdb_cursor_get(cursor_, &key, &value, static_cast<MDB_cursor_op>(operation));
  if (result == MDB_NOTFOUND) {
    return false;
  }
  if (result != 0) {
    return fail(error_of(result, "walk"));
  }
  key_ = to_span(key);
  value_ = to_span(value);
  return true;
}

Result<bool> Cursor::first() {
  return move(MDB_FIRST);
}
Result<bool> Cursor::last() {
  return move(MDB_LAST);
}
Result<bool> Cursor::next() {
  return move(MDB_NEXT);
}
Result<bool> Cursor::previous() {
  return move(MDB_PREV);
}
Result<bool> Cursor::seek(ByteSpan key) {
  key_ = key;
  return move(MDB_SET_RANGE);
}

// ---- environment

Result<std::unique_ptr<Env>> Env::open(const std::string& directory, uint64_t map_size) {
  std::unique_ptr<Env> env(new Env);
  int result = mdb_env_create(&env->env_);
  if (result == 0) {
    result = mdb_env_set_mapsize(env->env_, map_size);
  }
  if (result == 0) {
    result = mdb_env_set_maxdbs(env->env_, kTableCount);
  }
  if (result == 0) {
    result = mdb_env_set_maxreaders(env->env_, kMaxReaders);
  }
  // NOTLS: a thread may have several reads open, and threads that end leave no slot behind.
  // NORDAHEAD: the store is read here and there, and may be larger than the memory to spare.
  if (result == 0) {
    result = mdb_env_open(env->env_, directory.c_str(), MDB_NOMETASYNC | MDB_NOTLS | MDB_NORDAHEAD,
                          0600);
  }
  if (result != 0) {
    return fail(error_of(result, "open the store"));
  }
  CPAWAY_TRY(env->open_tables());
  return env;
}

Env::~Env() {
  if (env_ != nullptr) {
    mdb_env_close(env_);
  }
}

Status Env::open_tables() {
  CPAWAY_ASSIGN(WriteTxn txn, WriteTxn::begin(*this));
  for (size_t i = 0; i < kTableCount; ++i) {
    const int result = mdb_dbi_open(txn.txn_, kTableNames[i], MDB_CREATE, &tables_[i]);
    if (result != 0) {
      return fail(error_of(result, concat("open table ", kTableNames[i])));
    }
  }
  return txn.commit();
}

Status Env::sync() {
  if (const int result = mdb_env_sync(env_, 1); result != 0) {
    return fail(error_of(result, "sync"));
  }
  return {};
}

}  // namespace cpaway::cache
