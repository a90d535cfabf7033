// Finds in a stream of bytes what its bases hold: the sender's half of the delta.
//
// The caller holds the bytes and brings those behind the stream position; the matcher says how long
// the next piece is and whence it can be copied. For each basis it keeps the shift between stream
// and basis, at first none, later that of the last match. Where a chunk of the basis begins at the
// shifted position, that chunk is expected: as many bytes are hashed and compared, and nothing is
// scanned. So a file that did not change costs one pass of XXH3, and one that was overwritten in
// places is back in step behind each place. Only where nothing that was expected is there, the
// stream is cut by content and the cut chunk is looked up by id.
//
// Rejected: a rolling checksum at every offset (rsync), which finds matches within chunks but costs
// a search for each byte; and dropping the expectation at the first mismatch, which costs scanning
// and looking up for the whole rest of a large file.
//
// Pure; not thread-safe. Bases may grow while they are in use, on the same thread, and outlive the
// matcher.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/delta/basis.h"
#include "engine/delta/chunker.h"
#include "engine/delta/piece.h"

namespace cpaway::delta {

enum class BasisKind : uint8_t {
  staging,  // the target's own staging file: what it holds at the same offset need not be moved
  file,     // a version of a file, copied from at any offset
};

class Matcher {
 public:
  // With so many bytes next() always decides.
  static constexpr size_t kEnoughBytes = hash::kMaxChunkSize;

  explicit Matcher(const ChunkSizes& sizes = {}) : sizes_(sizes) {}

  // Returns its number, as in Source. The ones added first are preferred, except that staging files
  // come before all others. Possible at any time; kMaxBases at most.
  uint8_t add_basis(const Basis* basis, BasisKind kind);

  // The next byte is the one at `offset` of the new version, and each basis is expected to go on at
  // the same offset.
  void restart(uint64_t offset);

  // The piece at the front of `data`, the bytes behind position(), which moves on by the piece's
  // size. `at_end`: the file ends where data does. Nothing where more data is needed or all is
  // done.
  [[nodiscard]] std::optional<Piece> next(ByteSpan data, bool at_end);

  [[nodiscard]] uint64_t position() const { return position_; }
  // Hashed so far: position() where every expectation came true.
  [[nodiscard]] uint64_t hashed_bytes() const { return hashed_bytes_; }

 private:
  struct Track {
    const Basis* basis;
    BasisKind kind;
    uint8_t number;
    uint64_t shift = 0;  // offset in the basis minus position_, mod 2^64
    Basis::Index likely = 0;
  };
  enum class Outcome : uint8_t { matched, differs, need_more };

  // Compares with the chunk expected on this track; `piece` is set where it matched.
  Outcome try_expected(Track& track, ByteSpan data, bool at_end, Piece& piece);
  Outcome try_all_expected(ByteSpan data, bool at_end, Piece& piece);
  [[nodiscard]] Piece cut_by_content(ByteSpan data);
  bool look_up(Piece& piece);
  [[nodiscard]] uint32_t up_to_large_chunk(uint32_t size) const;

  const hash::BlockHash& id_of_first(ByteSpan data, uint32_t size);
  static Source match(Track& track, Basis::Index index, uint64_t position);
  Piece advance(const Piece& piece);

  const ChunkSizes sizes_;
  std::vector<Track> tracks_;  // staging files first
  size_t leader_ = 0;          // of tracks_, matched last
  uint8_t bases_ = 0;
  uint64_t position_ = 0;
  uint64_t hashed_bytes_ = 0;
  hash::ChunkList hashed_;  // fronts of the data behind position_ whose ids are known
};

}  // namespace cpaway::delta
