#include "engine/delta/segments.h"

#include <utility>

#include "engine/base/check.h"

namespace cpaway::delta {

bool SegmentBuilder::add(const Piece& piece) {
  CHECK(piece.size > 0 && piece.size <= kMaxDeltaBlock);
  const bool merged = goes_on(piece);
  if (piece.size > kMaxDeltaBlock - size_ || (!merged && segments_.size() == kMaxSegments)) {
    return false;
  }
  if (merged) {
    segments_.back().size += piece.size;
  } else if (piece.source) {
    segments_.push_back({piece.source->basis, piece.size, piece.source->offset});
  } else {
    segments_.push_back({kLiteralSegment, piece.size, 0});
  }
  size_ += piece.size;
  literal_size_ += piece.source ? 0 : piece.size;
  return true;
}

std::vector<Segment> SegmentBuilder::take() {
  size_ = 0;
  literal_size_ = 0;
  return std::exchange(segments_, {});
}

// Whether the piece makes the last segment longer.
bool SegmentBuilder::goes_on(const Piece& piece) const {
  if (segments_.empty()) {
    return false;
  }
  const Segment& last = segments_.back();
  if (!piece.source) {
    return last.basis == kLiteralSegment;
  }
  return last.basis == piece.source->basis && last.basis_offset + last.size == piece.source->offset;
}

}  // namespace cpaway::delta
