// Content that a seed decides: random, so that nothing compresses or repeats in it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "engine/base/bytes.h"

namespace cpaway::testing {

// CPAWAY_TEST_SEED where it is set, to repeat a failure.
[[nodiscard]] inline uint32_t random_seed() {
  const char* given = ::getenv("CPAWAY_TEST_SEED");
  return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10))
                          : std::random_device{}();
}

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
