// What is known of a file that may be copied from: its chunks, found by id and by offset.
//
// It may grow while it is in use: the chunks of a file that was not known come from the agent in
// segments, not always in order. Nothing here is believed: who copies a chunk looks at what it
// holds. So wrong ids, sizes and offsets cost missed or failed copies, and hostile ones not much
// more: every search is bounded.
//
// At most 36 bytes of memory a chunk: 24 for the chunk with its offset, packed, 5 to 11 for the
// index. The index is a table of 32-bit words with linear probing, of which 11 bits are a tag from
// the id, so that a search touches a chunk only where it is most likely the right one. Of equal
// chunks the index holds a few, and none for those that follow their like: a file of zeros is one
// entry. A hash map of ids to offsets would take over twice the memory. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "engine/hash/chunk.h"

namespace cpaway::delta {

class Basis {
 public:
  // 16 GB of content in chunks of the usual size; what comes behind cannot be copied from.
  static constexpr uint32_t kMaxChunks = 2'000'000;
  // Segments that do not follow the one added before; more of them are dropped.
  static constexpr size_t kMaxRuns = 65536;
  static constexpr uint64_t kMaxOffset = uint64_t{1} << 44U;

  // Chunks by their number, in the order in which they were added.
  using Index = uint32_t;

  Basis() = default;
  Basis(const Basis&) = delete;
  Basis& operator=(const Basis&) = delete;

  // Adds what is known from `offset` on. A segment that begins where another one does is dropped;
  // a chunk with an impossible size ends the segment.
  void add(uint64_t offset, const hash::ChunkList& chunks);

  [[nodiscard]] size_t size() const { return entries_.size(); }
  // Up to here the basis has been told of without a gap, also of chunks that it did not keep:
  // waiting for more before this offset is in vain.
  [[nodiscard]] uint64_t covered_to() const { return covered_to_; }
  // Roughly.
  [[nodiscard]] size_t memory_bytes() const;

  // A chunk with this id and size, of several one near `wanted_offset`.
  [[nodiscard]] std::optional<Index> find(const hash::BlockHash& id, uint32_t size,
                                          uint64_t wanted_offset) const;
  // The chunk that begins at `offset`; quick where it is `likely`.
  [[nodiscard]] std::optional<Index> starting_at(uint64_t offset, Index likely) const;
  // The first chunk that begins at `offset` or behind it.
  [[nodiscard]] std::optional<Index> first_from(uint64_t offset) const;

  [[nodiscard]] const hash::BlockHash& id_of(Index index) const { return entries_[index].id; }
  [[nodiscard]] uint64_t offset_of(Index index) const { return entries_[index].offset(); }
  [[nodiscard]] uint32_t size_of(Index index) const { return entries_[index].size(); }

 private:
  static constexpr unsigned kSizeBits = 20;  // of size - 1

  struct Entry {
    hash::BlockHash id;
    uint64_t place;  // offset and, in the low bits, size - 1

    [[nodiscard]] uint64_t offset() const { return place >> kSizeBits; }
    [[nodiscard]] uint32_t size() const {
      return static_cast<uint32_t>(place & ((1U << kSizeBits) - 1)) + 1;
    }
  };

  // Chunks that follow each other in the file and in entries_.
  struct Run {
    uint64_t end = 0;  // offset
    Index first = 0;
    uint32_t count = 0;
  };

  // The run that goes on at `offset` with the next entry, a new one where need be, or null.
  Run* run_at(uint64_t offset);
  void cover(uint64_t from, uint64_t to);
  void index_last();
  void put(Index index);
  void grow_table();
  [[nodiscard]] Index index_in(uint32_t slot) const;

  std::deque<Entry> entries_;
  std::map<uint64_t, Run> runs_;  // by offset; none is empty
  Run* last_run_ = nullptr;       // in runs_; what was added last ends with entries_
  uint64_t covered_to_ = 0;
  std::vector<uint32_t> table_;  // tag and index + 1, or 0; a power of two long
  size_t indexed_ = 0;           // entries of table_ in use
};

}  // namespace cpaway::delta
