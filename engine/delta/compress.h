// zstd for the literals of a delta, where it pays.
//
// Level 1: above it a link of 1 Gbit/s would wait for the compressor. Content that does not shrink
// (media, archives, ciphertext) is the usual case of large files, so after each block that did not,
// more of the next ones are passed over untried, up to kMaxSkipped, and a sample decides about the
// one that follows. A stream that turns compressible is noticed within that many blocks.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

struct ZSTD_CCtx_s;

namespace cpaway::delta {

// One for each stream; not thread-safe.
class Compressor {
 public:
  static constexpr size_t kMinInput = 128;  // below, a frame's header eats the gain
  static constexpr size_t kSampleSize = 16384;
  static constexpr unsigned kMaxSkipped = 15;  // blocks in a row

  Compressor();
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  // One zstd frame that says its content's size, or nothing where it would not be smaller than 7/8
  // of the input or the input was passed over.
  [[nodiscard]] std::optional<Bytes> compress(ByteSpan in);

 private:
  [[nodiscard]] std::optional<Bytes> try_compress(ByteSpan in);
  void note_miss();

  struct FreeContext {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, FreeContext>
      context_;          // null where memory was short: no compression
  unsigned misses_ = 0;  // in a row, kMaxSkipped at most
  unsigned to_skip_ = 0;
};

// The content of one frame as compress() makes it. Errc::protocol for anything else: another size
// than `exact_size`, which the caller has bounded, bytes behind the frame, none at all.
[[nodiscard]] Result<Bytes> decompress(ByteSpan in, size_t exact_size);

}  // namespace cpaway::delta
