// Content for the tests of delta: random and repetitive bytes and edits of them, all from a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

#include "engine/base/bytes.h"
#include "engine/delta/chunker.h"

namespace cpaway::testing {

using Random = std::mt19937_64;

// Between `least` and `most`, both included.
[[nodiscard]] size_t pick(Random& random, size_t least, size_t most);

[[nodiscard]] Bytes random_bytes(size_t size, uint64_t seed);
// A few blocks and runs of one byte, again and again.
[[nodiscard]] Bytes repetitive_bytes(size_t size, uint64_t seed);

// Overwrites, inserts, deletes, moves or duplicates up to `max_size` bytes somewhere.
void edit(Bytes& content, size_t max_size, Random& random);
void overwrite(Bytes& content, size_t offset, ByteSpan with);

[[nodiscard]] hash::ChunkList chunks_of(ByteSpan content, const delta::ChunkSizes& sizes = {});

}  // namespace cpaway::testing
