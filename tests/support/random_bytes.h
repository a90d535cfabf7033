// Content that a seed decides: random, so that nothing compresses or repeats in it.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>

#include "engine/base/bytes.h"

namespace cpaway::testing {

[[nodiscard]] inline Bytes random_bytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
  }
  return bytes;
}

}  // namespace cpaway::testing
