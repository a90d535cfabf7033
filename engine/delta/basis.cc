#include "engine/delta/basis.h"

#include <algorithm>

#include "engine/base/bytes.h"

namespace cpaway::delta {
namespace {

// A slot is a tag and index + 1.
constexpr unsigned kIndexBits = 21;
constexpr uint32_t kIndexMask = (1U << kIndexBits) - 1;
static_assert(Basis::kMaxChunks <= kIndexMask);

constexpr size_t kFirstTableSize = 64;
// Chance makes no row as long as this worth noticing; ids made to collide would.
constexpr size_t kMaxProbes = 128;
// Of chunks with one id, those that the index holds.
constexpr size_t kMaxCopies = 4;

uint64_t place_in_table(const hash::BlockHash& id) {
  return load_be<uint64_t>(id.data());
}

uint32_t tag_of(const hash::BlockHash& id) {
  return load_be<uint32_t>(id.data() + sizeof(uint64_t)) & ~kIndexMask;
}

// Chunks of impossible size, or beyond what an entry can say, are not held.
bool is_possible(const hash::Chunk& chunk, uint64_t offset) {
  return chunk.size > 0 && chunk.size <= hash::kMaxChunkSize &&
         offset <= Basis::kMaxOffset - chunk.size;
}

uint64_t distance(uint64_t a, uint64_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

void Basis::add(uint64_t offset, const hash::ChunkList& chunks) {
  if (chunks.empty() || !is_possible(chunks.front(), offset)) {
    return;
  }
  Run* run = run_at(offset);
  uint64_t end = offset;
  for (const hash::Chunk& chunk : chunks) {
    if (!is_possible(chunk, end)) {
      break;
    }
    if (run != nullptr && entries_.size() < kMaxChunks) {
      entries_.push_back({chunk.id, end << kSizeBits | (chunk.size - 1)});
      run->end = end + chunk.size;
      ++run->count;
      index_last();
    }
    end += chunk.size;
  }
  cover(offset, end);
}

Basis::Run* Basis::run_at(uint64_t offset) {
  if (last_run_ != nullptr && last_run_->end == offset) {
    return last_run_;
  }
  if (entries_.size() == kMaxChunks || runs_.size() == kMaxRuns || runs_.contains(offset)) {
    return nullptr;
  }
  const Run run{offset, static_cast<Index>(entries_.size()), 0};
  last_run_ = &runs_.emplace(offset, run).first->second;
  return last_run_;
}

void Basis::cover(uint64_t from, uint64_t to) {
  if (from > covered_to_ || to <= covered_to_) {
    return;
  }
  // Runs that begin before were counted when they came, or when the cover reached them.
  auto next = runs_.upper_bound(covered_to_);
  covered_to_ = to;
  for (; next != runs_.end() && next->first <= covered_to_; ++next) {
    covered_to_ = std::max(covered_to_, next->second.end);
  }
}

size_t Basis::memory_bytes() const {
  constexpr size_t kMapNode = sizeof(Run) + 5 * sizeof(void*);
  return entries_.size() * sizeof(Entry) + table_.size() * sizeof(uint32_t) +
         runs_.size() * kMapNode;
}

std::optional<Basis::Index> Basis::find(const hash::BlockHash& id, uint32_t size,
                                        uint64_t wanted_offset) const {
  if (table_.empty()) {
    return std::nullopt;
  }
  std::optional<Index> nearest;
  const size_t mask = table_.size() - 1;
  for (size_t probe = 0; probe < kMaxProbes; ++probe) {
    const uint32_t slot = table_[(place_in_table(id) + probe) & mask];
    if (slot == 0) {
      break;
    }
    if ((slot & ~kIndexMask) != tag_of(id)) {
      continue;
    }
    const Index index = index_in(slot);
    const Entry& entry = entries_[index];
    if (entry.size() == size && entry.id == id &&
        (!nearest ||
         distance(entry.offset(), wanted_offset) < distance(offset_of(*nearest), wanted_offset))) {
      nearest = index;
    }
  }
  return nearest;
}

std::optional<Basis::Index> Basis::starting_at(uint64_t offset, Index likely) const {
  if (likely < entries_.size() && offset_of(likely) == offset) {
    return likely;
  }
  const std::optional<Index> found = first_from(offset);
  return found && offset_of(*found) == offset ? found : std::nullopt;
}

std::optional<Basis::Index> Basis::first_from(uint64_t offset) const {
  const auto behind = runs_.upper_bound(offset);
  if (behind != runs_.begin()) {
    const Run& run = std::prev(behind)->second;
    const auto first = entries_.begin() + run.first;
    const auto found =
        std::lower_bound(first, first + run.count, offset,
                         [](const Entry& entry, uint64_t at) { return entry.offset() < at; });
    if (found != first + run.count) {
      return static_cast<Index>(found - entries_.begin());
    }
  }
  return behind == runs_.end() ? std::nullopt : std::optional(behind->second.first);
}

// A chunk like the one before it is left out: whoever finds the first comes to it by going on.
void Basis::index_last() {
  const size_t last = entries_.size() - 1;
  if (last > 0 && entries_[last - 1].id == entries_[last].id) {
    return;
  }
  if ((indexed_ + 1) * 4 > table_.size() * 3) {
    grow_table();
  }
  put(static_cast<Index>(last));
}

void Basis::put(Index index) {
  const hash::BlockHash& id = id_of(index);
  const size_t mask = table_.size() - 1;
  size_t copies = 0;
  for (size_t probe = 0; probe < kMaxProbes; ++probe) {
    uint32_t& slot = table_[(place_in_table(id) + probe) & mask];
    if (slot == 0) {
      slot = tag_of(id) | (index + 1);
      ++indexed_;
      return;
    }
    if ((slot & ~kIndexMask) == tag_of(id) && id_of(index_in(slot)) == id &&
        ++copies == kMaxCopies) {
      return;
    }
  }
}

void Basis::grow_table() {
  std::vector<uint32_t> before(std::max(kFirstTableSize, table_.size() * 2));
  before.swap(table_);
  indexed_ = 0;
  for (const uint32_t slot : before) {
    if (slot != 0) {
      put(index_in(slot));
    }
  }
}

Basis::Index Basis::index_in(uint32_t slot) const {
  return (slot & kIndexMask) - 1;
}

}  // namespace cpaway::delta
