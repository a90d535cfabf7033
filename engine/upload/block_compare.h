// What of a block a remote file holds already: the question, its answer, and when to ask.
//
// Pure: in_place_writer.cc sends what is made here.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/wire/message.h"

namespace cpaway::upload {

// A difference costs a whole piece; each piece costs 20 bytes in the question.
inline constexpr uint32_t kComparePiece = 16U << 10U;
// Smaller writes are sent: the round trip would cost more than their bytes.
inline constexpr size_t kMinCompared = 2 * kComparePiece;

// Asks for `bytes`, at most kBlockSize, which are to stand at `offset`.
[[nodiscard]] wire::Compare compare_request(uint32_t handle, uint64_t offset, ByteSpan bytes);

struct ByteRange {
  size_t offset = 0;  // in the block
  size_t size = 0;
  bool operator==(const ByteRange&) const = default;
};

// The ranges of a block of `size` bytes that have to be sent, ascending, with a gap between any
// two: pieces that differ, and what was not asked for. An answer of the wrong length counts as one
// that knows nothing.
[[nodiscard]] std::vector<ByteRange> ranges_to_send(const wire::Compare& request,
                                                    const wire::Compare::Answer& answer,
                                                    size_t size);

// Whether asking pays, judged by what came of it. Where several answers in a row found nothing
// equal, blocks go by unasked between two questions, twice as many each time.
class CompareGate {
 public:
  static constexpr uint32_t kPatience = 4;     // answers
  static constexpr uint32_t kMaxSkipped = 32;  // blocks between two questions

  // Called once for each block that could be asked for: true where it should be.
  [[nodiscard]] bool should_ask();
  void answered(bool found_equal);
  // There was no answer, and will be none.
  void close() { closed_ = true; }

 private:
  bool closed_ = false;
  uint32_t fruitless_ = 0;  // answers in a row
  uint32_t stride_ = 0;     // blocks that go by between two questions
  uint32_t skipped_ = 0;    // of these
};

}  // namespace cpaway::upload
