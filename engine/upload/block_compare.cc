#include "engine/upload/block_compare.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/wire/frame.h"

namespace cpaway::upload {

static_assert(wire::kBlockSize / kComparePiece <= wire::Compare::kMaxChunks);

wire::Compare compare_request(uint32_t handle, uint64_t offset, ByteSpan bytes) {
  CHECK(bytes.size() <= wire::kBlockSize);
  wire::Compare request{handle, offset, {}};
  request.chunks.reserve(bytes.size() / kComparePiece + 1);
  while (!bytes.empty()) {
    const ByteSpan piece = bytes.first(std::min<size_t>(kComparePiece, bytes.size()));
    request.chunks.push_back({hash::block_hash(piece), static_cast<uint32_t>(piece.size())});
    bytes = bytes.subspan(piece.size());
  }
  return request;
}

std::vector<ByteRange> ranges_to_send(const wire::Compare& request,
                                      const wire::Compare::Answer& answer, size_t size) {
  if (answer.equal.size() != request.chunks.size()) {
    return {{0, size}};
  }
  std::vector<ByteRange> ranges;
  const auto add = [&ranges](size_t offset, size_t length) {
    if (!ranges.empty() && ranges.back().offset + ranges.back().size == offset) {
      ranges.back().size += length;
    } else {
      ranges.push_back({offset, length});
    }
  };
  size_t at = 0;
  for (size_t i = 0; i < request.chunks.size(); ++i) {
    if (answer.equal[i] != 1) {
      add(at, request.chunks[i].size);
    }
    at += request.chunks[i].size;
  }
  if (at < size) {
    add(at, size - at);
  }
  return ranges;
}

bool CompareGate::should_ask() {
  if (closed_) {
    return false;
  }
  if (skipped_ < stride_) {
    ++skipped_;
    return false;
  }
  skipped_ = 0;
  return true;
}

void CompareGate::answered(bool found_equal) {
  if (found_equal) {
    fruitless_ = 0;
    stride_ = 0;
  } else if (++fruitless_ >= kPatience) {
    stride_ = std::clamp<uint32_t>(stride_ * 2, 1, kMaxSkipped);
  }
}

}  // namespace cpaway::upload
