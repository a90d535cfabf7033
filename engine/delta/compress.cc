#include "engine/delta/compress.h"

#include <zstd.h>

#include <algorithm>

namespace cpaway::delta {
namespace {

constexpr int kLevel = 1;

// Not so the frames of zstd's early versions, which the library may still read, and those that it
// skips: their sizes mean other things.
bool is_usual_frame(ByteSpan in) {
  static constexpr uint8_t kMagic[] = {0x28, 0xb5, 0x2f, 0xfd};
  return in.size() >= sizeof kMagic && std::memcmp(in.data(), kMagic, sizeof kMagic) == 0;
}

}  // namespace

Compressor::Compressor() : context_(ZSTD_createCCtx()) {}
Compressor::~Compressor() = default;

void Compressor::FreeContext::operator()(ZSTD_CCtx_s* context) const {
  ZSTD_freeCCtx(context);
}

std::optional<Bytes> Compressor::compress(ByteSpan in) {
  if (context_ == nullptr || in.size() < kMinInput) {
    return std::nullopt;
  }
  if (to_skip_ > 0) {
    --to_skip_;
    return std::nullopt;
  }
  // The sample is taken from the middle: the front of many files is a header unlike the rest.
  const bool sample_first = misses_ > 0 && in.size() > kSampleSize;
  if (sample_first && !try_compress(in.subspan((in.size() - kSampleSize) / 2, kSampleSize))) {
    note_miss();
    return std::nullopt;
  }
  std::optional<Bytes> out = try_compress(in);
  if (out) {
    misses_ = 0;
  } else {
    note_miss();
  }
  return out;
}

// The room is what would pay; zstd fails where it does not suffice.
std::optional<Bytes> Compressor::try_compress(ByteSpan in) {
  Bytes out(in.size() - in.size() / 8 - 1);
  const size_t size =
      ZSTD_compressCCtx(context_.get(), out.data(), out.size(), in.data(), in.size(), kLevel);
  if (ZSTD_isError(size) != 0) {
    return std::nullopt;
  }
  out.resize(size);
  return out;
}

void Compressor::note_miss() {
  misses_ = std::min(misses_ + 1, kMaxSkipped);
  to_skip_ = misses_;
}

Result<Bytes> decompress(ByteSpan in, size_t exact_size) {
  if (exact_size == 0 || !is_usual_frame(in) ||
      ZSTD_getFrameContentSize(in.data(), in.size()) != exact_size ||
      ZSTD_findFrameCompressedSize(in.data(), in.size()) != in.size()) {
    return fail(Errc::protocol, "malformed compressed block");
  }
  Bytes out(exact_size);
  if (ZSTD_decompress(out.data(), out.size(), in.data(), in.size()) != exact_size) {
    return fail(Errc::protocol, "damaged compressed block");
  }
  return out;
}

}  // namespace cpaway::delta
