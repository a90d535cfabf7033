#include "cache/hash_index.h"

#include <algorithm>
#include <unordered_map>

namespace cpaway::cache {
namespace {

constexpr size_t kMaxSamplesSearched = 4096;
constexpr size_t kMaxFilesOfSample = 64;
constexpr size_t kMaxCandidates = 1024;

Result<std::optional<FileEntry>> get_entry(const ReadTxn& txn, ByteSpan file, Health& health) {
  CPAWAY_ASSIGN(const auto value, txn.get(Table::files, file));
  if (!value) {
    return std::optional<FileEntry>();
  }
  auto entry = decode_file(file, *value);
  if (!entry) {
    health.add_bad_value();
  }
  return entry;
}

// Nothing where segments are missing or do not decode.
Result<std::optional<hash::ChunkList>> read_list(const ReadTxn& txn, const FileEntry& entry,
                                                 Health& health) {
  hash::ChunkList chunks;
  chunks.reserve(entry.chunk_count);
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::lists));
  CPAWAY_ASSIGN(bool found, cursor.seek(segment_key(entry.list, 0)));
  while (found && decode_segment_owner(cursor.key()) == entry.list &&
         decode_segment(cursor.value(), entry.chunk_count, chunks)) {
    CPAWAY_ASSIGN(found, cursor.next());
  }
  if (chunks.size() != entry.chunk_count) {
    health.add_bad_value();
    return std::optional<hash::ChunkList>();
  }
  return std::optional(std::move(chunks));
}

Result<uint64_t> number_after_last(const ReadTxn& txn, Table table) {
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, table));
  CPAWAY_ASSIGN(const bool found, cursor.last());
  if (!found || cursor.key().size() < sizeof(uint64_t)) {
    return uint64_t{1};
  }
  return load_be<uint64_t>(cursor.key().data()) + 1;
}

using Hits = std::unordered_map<std::string, size_t>;  // by file key

Status count_hits(Cursor& cursor, Sample sample, Hits& hits) {
  CPAWAY_ASSIGN(bool found, cursor.seek(index_key(sample, {})));
  for (size_t i = 0; found && i < kMaxFilesOfSample; ++i) {
    const auto file = decode_index_file(cursor.key(), sample);
    if (!file) {
      break;
    }
    ++hits[std::string(as_text(*file))];
    CPAWAY_ASSIGN(found, cursor.next());
  }
  return {};
}

}  // namespace

// ---- reading

Result<std::optional<upload::KnownVersion>> find_version(const ReadTxn& txn,
                                                         const upload::VersionKey& key,
                                                         Health& health) {
  CPAWAY_ASSIGN(auto entry, get_entry(txn, file_key(key), health));
  if (!entry || entry->key != key) {
    return std::optional<upload::KnownVersion>();
  }
  upload::KnownVersion version;
  version.file = {entry->key, std::move(entry->path)};
  version.sha256 = entry->sha256;
  if (entry->list != 0) {
    CPAWAY_ASSIGN(auto chunks, read_list(txn, *entry, health));
    if (!chunks) {
      return std::optional<upload::KnownVersion>();
    }
    version.chunks = std::move(*chunks);
  }
  return std::optional(std::move(version));
}

Result<std::vector<SimilarFile>> find_similar(const ReadTxn& txn,
                                              const std::vector<Sample>& samples, Health& health) {
  Hits hits;
  CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::index));
  for (size_t i = 0; i < std::min(samples.size(), kMaxSamplesSearched); ++i) {
    CPAWAY_TRY(count_hits(cursor, samples[i], hits));
  }
  std::vector<std::pair<std::string, size_t>> best(hits.begin(), hits.end());
  std::sort(best.begin(), best.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  best.resize(std::min(best.size(), kMaxCandidates));
  std::vector<SimilarFile> found;
  for (const auto& [file, count] : best) {
    CPAWAY_ASSIGN(auto entry, get_entry(txn, as_bytes(file), health));
    if (entry) {
      found.push_back({{entry->key, std::move(entry->path)}, count});
    }
  }
  return found;
}

// ---- writing

Result<HashIndex> HashIndex::load(const ReadTxn& txn, Health& health) {
  CPAWAY_ASSIGN(const uint64_t next_list, number_after_last(txn, Table::lists));
  CPAWAY_ASSIGN(const uint64_t next_use, number_after_last(txn, Table::uses));
  return HashIndex(next_list, next_use, health);
}

Status HashIndex::remember(WriteTxn& txn, const PendingVersion& pending) {
  const upload::KnownVersion& version = pending.version;
  const Bytes file = file_key(version.file.key);
  CPAWAY_TRY(forget(txn, file));
  FileEntry entry;
  entry.key = version.file.key;
  entry.chunk_count = pending.chunk_count;
  entry.sha256 = version.sha256;
  entry.path = version.file.path;
  if (version.chunks.empty()) {
    entry.samples = pending.samples;
  } else {
    entry.list = next_list_++;
    uint32_t segment = 0;
    CPAWAY_TRY(encode_list(version.chunks, [&](const Bytes& value) {
      return txn.append(Table::lists, segment_key(entry.list, segment++), value);
    }));
  }
  CPAWAY_TRY(add_to_index(txn, pending.samples, file));
  return renew_use(txn, entry, file);
}

Status HashIndex::rekey(WriteTxn& txn, const upload::VersionKey& before,
                        const upload::KnownFile& now) {
  const Bytes old_file = file_key(before);
  const Bytes new_file = file_key(now.key);
  CPAWAY_ASSIGN(auto entry, get_entry(txn, old_file, *health_));
  if (!entry || entry->key != before) {
    return {};
  }
  if (new_file != old_file) {
    CPAWAY_TRY(forget(txn, new_file));
    CPAWAY_ASSIGN(const auto samples, samples_in(txn, *entry));
    CPAWAY_TRY(remove_from_index(txn, *entry, old_file));
    CPAWAY_TRY(add_to_index(txn, samples, new_file));
    CPAWAY_TRY(txn.erase(Table::files, old_file));
  }
  entry->key = now.key;
  entry->path = now.path;
  return renew_use(txn, *entry, new_file);
}

Status HashIndex::touch(WriteTxn& txn, const upload::VersionKey& key) {
  const Bytes file = file_key(key);
  CPAWAY_ASSIGN(auto entry, get_entry(txn, file, *health_));
  if (!entry || entry->use + 1 == next_use_) {
    return {};
  }
  return renew_use(txn, *entry, file);
}

Result<bool> HashIndex::evict_one(WriteTxn& txn) {
  Bytes use;
  Bytes file;
  {
    CPAWAY_ASSIGN(Cursor cursor, Cursor::open(txn, Table::uses));
    CPAWAY_ASSIGN(const bool found, cursor.first());
    if (!found) {
      return false;
    }
    use.assign(cursor.key().begin(), cursor.key().end());
    file.assign(cursor.value().begin(), cursor.value().end());
  }
  if (decode_file_key(file)) {
    CPAWAY_ASSIGN(const auto entry, get_entry(txn, file, *health_));
    if (entry && number_key(entry->use) == use) {
      CPAWAY_TRY(forget(txn, file));
    }
  } else {
    health_->add_bad_value();
  }
  CPAWAY_TRY(txn.erase(Table::uses, use));
  return true;
}

Status HashIndex::forget(WriteTxn& txn, ByteSpan file) {
  CPAWAY_ASSIGN(const auto entry, get_entry(txn, file, *health_));
  CPAWAY_ASSIGN(const bool existed, txn.erase(Table::files, file));
  if (!existed || !entry) {
    return {};
  }
  CPAWAY_TRY(remove_from_index(txn, *entry, file));
  CPAWAY_TRY(txn.erase(Table::uses, number_key(entry->use)));
  for (uint32_t segment = 0; entry->list != 0 && segment <= entry->chunk_count; ++segment) {
    CPAWAY_ASSIGN(const bool erased, txn.erase(Table::lists, segment_key(entry->list, segment)));
    if (!erased) {
      break;
    }
  }
  return {};
}

Result<std::vector<Sample>> HashIndex::samples_in(const ReadTxn& txn, const FileEntry& entry) {
  if (entry.list == 0) {
    return entry.samples;
  }
  CPAWAY_ASSIGN(const auto chunks, read_list(txn, entry, *health_));
  return chunks ? samples_of(*chunks) : std::vector<Sample>();
}

Status HashIndex::add_to_index(WriteTxn& txn, const std::vector<Sample>& samples, ByteSpan file) {
  for (const Sample sample : samples) {
    CPAWAY_TRY(txn.put(Table::index, index_key(sample, file), {}));
  }
  return {};
}

Status HashIndex::remove_from_index(WriteTxn& txn, const FileEntry& entry, ByteSpan file) {
  CPAWAY_ASSIGN(const auto samples, samples_in(txn, entry));
  for (const Sample sample : samples) {
    CPAWAY_TRY(txn.erase(Table::index, index_key(sample, file)));
  }
  return {};
}

// Writes the entry, as the newest.
Status HashIndex::renew_use(WriteTxn& txn, FileEntry& entry, ByteSpan file) {
  if (entry.use != 0) {
    CPAWAY_TRY(txn.erase(Table::uses, number_key(entry.use)));
  }
  entry.use = next_use_++;
  CPAWAY_TRY(txn.append(Table::uses, number_key(entry.use), file));
  return txn.put(Table::files, file, encode_file(entry));
}

}  // namespace cpaway::cache
