#include "engine/delta/matcher.h"

#include <algorithm>

#include "engine/base/check.h"

namespace cpaway::delta {

uint8_t Matcher::add_basis(const Basis* basis, BasisKind kind) {
  CHECK(basis != nullptr && bases_ < kMaxBases);
  const auto behind_staging = std::find_if(tracks_.begin(), tracks_.end(), [](const Track& track) {
    return track.kind == BasisKind::file;
  });
  tracks_.insert(kind == BasisKind::staging ? behind_staging : tracks_.end(),
                 Track{basis, kind, bases_});
  leader_ = 0;
  return bases_++;
}

void Matcher::restart(uint64_t offset) {
  position_ = offset;
  hashed_.clear();
  leader_ = 0;
  for (Track& track : tracks_) {
    track.shift = 0;
  }
}

std::optional<Piece> Matcher::next(ByteSpan data, bool at_end) {
  if (data.empty()) {
    return std::nullopt;
  }
  Piece piece;
  switch (try_all_expected(data, at_end, piece)) {
    case Outcome::matched:
      return advance(piece);
    case Outcome::need_more:
      return std::nullopt;
    case Outcome::differs:
      break;
  }
  if (data.size() < sizes_.max && !at_end) {
    return std::nullopt;
  }
  return advance(cut_by_content(data));
}

// The staging files first, since what they hold need not even be copied; then the basis that
// matched last, which most likely goes on; then the others.
Matcher::Outcome Matcher::try_all_expected(ByteSpan data, bool at_end, Piece& piece) {
  const auto try_one = [&](size_t at) {
    const Outcome outcome = try_expected(tracks_[at], data, at_end, piece);
    if (outcome == Outcome::matched) {
      leader_ = at;
    }
    return outcome;
  };
  size_t at = 0;
  for (; at < tracks_.size() && tracks_[at].kind == BasisKind::staging; ++at) {
    if (const Outcome outcome = try_one(at); outcome != Outcome::differs) {
      return outcome;
    }
  }
  const size_t leader = leader_;
  if (leader >= at && leader < tracks_.size()) {
    if (const Outcome outcome = try_one(leader); outcome != Outcome::differs) {
      return outcome;
    }
  }
  for (; at < tracks_.size(); ++at) {
    if (at == leader) {
      continue;
    }
    if (const Outcome outcome = try_one(at); outcome != Outcome::differs) {
      return outcome;
    }
  }
  return Outcome::differs;
}

Matcher::Outcome Matcher::try_expected(Track& track, ByteSpan data, bool at_end, Piece& piece) {
  const Basis& basis = *track.basis;
  const auto index = basis.starting_at(position_ + track.shift, track.likely);
  if (!index) {
    return Outcome::differs;
  }
  const uint32_t size = basis.size_of(*index);
  // A chunk below the least size is the end of its file and may only be the end of another: else a
  // file that grows by a line at a time would gather a tiny chunk for each.
  const bool only_at_end = size < sizes_.min;
  if (size > data.size() || (only_at_end && size == data.size() && !at_end)) {
    return at_end ? Outcome::differs : Outcome::need_more;
  }
  if (only_at_end && size < data.size()) {
    return Outcome::differs;
  }
  const hash::BlockHash& id = id_of_first(data, size);
  if (id != basis.id_of(*index)) {
    return Outcome::differs;
  }
  piece = {size, id, match(track, *index, position_)};
  return Outcome::matched;
}

Piece Matcher::cut_by_content(ByteSpan data) {
  Piece piece;
  piece.size = static_cast<uint32_t>(find_cut(data, sizes_));
  piece.id = id_of_first(data, piece.size);
  if (!look_up(piece)) {
    piece.size = up_to_large_chunk(piece.size);
    piece.id = id_of_first(data, piece.size);
  }
  return piece;
}

bool Matcher::look_up(Piece& piece) {
  for (size_t at = 0; at < tracks_.size(); ++at) {
    Track& track = tracks_[at];
    if (track.kind == BasisKind::staging) {
      continue;
    }
    if (const auto index = track.basis->find(piece.id, piece.size, position_ + track.shift)) {
      piece.source = match(track, *index, position_);
      leader_ = at;
      return true;
    }
  }
  return false;
}

// A chunk that is far longer than those cut by content, such as a block of a staging file, is never
// found by its id, and cuts hardly ever fall on its beginning. So a literal of `size` ends where
// one begins on a track, for it to be expected next. Not for smaller chunks: cut at each of theirs,
// a stream that was shifted would never come back in step.
uint32_t Matcher::up_to_large_chunk(uint32_t size) const {
  for (const Track& track : tracks_) {
    const uint64_t from = position_ + track.shift;
    const auto index = track.basis->first_from(from + 1);
    if (!index || track.basis->size_of(*index) / 4 < sizes_.max) {
      continue;
    }
    const uint64_t gap = track.basis->offset_of(*index) - from;
    size = static_cast<uint32_t>(std::min<uint64_t>(size, gap));
  }
  return size;
}

// The same front may be asked for twice, where the cut is as long as an expected chunk, and again
// when next() had to wait for more data.
const hash::BlockHash& Matcher::id_of_first(ByteSpan data, uint32_t size) {
  const auto known = std::find_if(hashed_.begin(), hashed_.end(),
                                  [size](const hash::Chunk& chunk) { return chunk.size == size; });
  if (known != hashed_.end()) {
    return known->id;
  }
  hashed_bytes_ += size;
  hashed_.push_back({hash::block_hash(data.first(size)), size});
  return hashed_.back().id;
}

Source Matcher::match(Track& track, Basis::Index index, uint64_t position) {
  const uint64_t offset = track.basis->offset_of(index);
  track.shift = offset - position;
  track.likely = index + 1;
  return {track.number, offset};
}

Piece Matcher::advance(const Piece& piece) {
  CHECK(piece.size > 0);
  position_ += piece.size;
  hashed_.clear();
  return piece;
}

}  // namespace cpaway::delta
