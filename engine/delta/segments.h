// Pieces gathered to blocks, as they are sent: few long segments in place of many chunks.
//
// A block is what one message carries and the agent writes in one go. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/delta/piece.h"

namespace cpaway::delta {

inline constexpr uint32_t kMaxDeltaBlock = 1U << 20U;  // bytes of the new version
inline constexpr size_t kMaxSegments = 1024;           // in a block
inline constexpr uint8_t kLiteralSegment = 0xff;
static_assert(hash::kMaxChunkSize <= kMaxDeltaBlock && kMaxBases < kLiteralSegment);

struct Segment {
  uint8_t basis = kLiteralSegment;  // number of the basis, or kLiteralSegment
  uint32_t size = 0;                // bytes, 1 to kMaxDeltaBlock
  uint64_t basis_offset = 0;        // 0 in a literal
  bool operator==(const Segment&) const = default;
};

class SegmentBuilder {
 public:
  // Adds the piece at the end of the block. False, and nothing is added, where the block would
  // exceed a limit: take() it first. An empty block takes any piece.
  [[nodiscard]] bool add(const Piece& piece);

  // The block so far; the builder is empty again.
  [[nodiscard]] std::vector<Segment> take();

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] uint32_t size() const { return size_; }  // bytes of the new version
  [[nodiscard]] uint32_t literal_size() const { return literal_size_; }

 private:
  [[nodiscard]] bool goes_on(const Piece& piece) const;

  std::vector<Segment> segments_;
  uint32_t size_ = 0;
  uint32_t literal_size_ = 0;
};

}  // namespace cpaway::delta
