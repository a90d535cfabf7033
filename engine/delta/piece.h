// A piece of a new version: what the matcher decides, one after the other without gaps.
//
// The pieces of a file are its chunks, matched or not, so their ids are what is remembered of it.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/hash/chunk.h"

namespace cpaway::delta {

// Bases of one stream at most; numbers from 0, in the order of preference.
inline constexpr size_t kMaxBases = 16;

struct Source {
  uint8_t basis = 0;
  uint64_t offset = 0;  // in the basis
  bool operator==(const Source&) const = default;
};

struct Piece {
  uint32_t size = 0;  // bytes, 1 to kMaxChunkSize
  hash::BlockHash id{};
  std::optional<Source> source;  // nothing where the bytes themselves must be sent
  bool operator==(const Piece&) const = default;
};

}  // namespace cpaway::delta
