#include "tests/engine/delta/content.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cpaway::testing {

size_t pick(Random& random, size_t least, size_t most) {
  return std::uniform_int_distribution<size_t>(least, most)(random);
}

Bytes random_bytes(size_t size, uint64_t seed) {
  Random random(seed);
  Bytes bytes(size + sizeof(uint64_t));
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
  bytes.resize(size);
  return bytes;
}

Bytes repetitive_bytes(size_t size, uint64_t seed) {
  Random random(seed);
  const Bytes blocks[] = {random_bytes(20'000, seed + 1), random_bytes(700, seed + 2),
                          Bytes(150'000), Bytes(30'000, 'x')};
  Bytes bytes;
  while (bytes.size() < size) {
    const Bytes& block = blocks[pick(random, 0, std::size(blocks) - 1)];
    bytes.insert(bytes.end(), block.begin(), block.end());
  }
  bytes.resize(size);
  return bytes;
}

void edit(Bytes& content, size_t max_size, Random& random) {
  const size_t size = pick(random, 1, std::min(max_size, content.size()));
  const size_t from = pick(random, 0, content.size() - size);
  const auto first = content.begin() + static_cast<ptrdiff_t>(from);
  const auto last = first + static_cast<ptrdiff_t>(size);
  const Bytes part(first, last);
  const auto insert_somewhere = [&](const Bytes& what) {
    const size_t at = pick(random, 0, content.size());
    content.insert(content.begin() + static_cast<ptrdiff_t>(at), what.begin(), what.end());
  };
  switch (pick(random, 0, 4)) {
    case 0:
      overwrite(content, from, random_bytes(size, random()));
      break;
    case 1:
      insert_somewhere(random_bytes(size, random()));
      break;
    case 2:
      content.erase(first, last);
      break;
    case 3:
      content.erase(first, last);
      insert_somewhere(part);
      break;
    default:
      insert_somewhere(part);
      break;
  }
}

void overwrite(Bytes& content, size_t offset, ByteSpan with) {
  ASSERT_LE(offset + with.size(), content.size());
  std::copy(with.begin(), with.end(), content.begin() + static_cast<ptrdiff_t>(offset));
}

hash::ChunkList chunks_of(ByteSpan content, const delta::ChunkSizes& sizes) {
  hash::ChunkList chunks;
  EXPECT_EQ(append_chunks(content, true, sizes, chunks), content.size());
  return chunks;
}

}  // namespace cpaway::testing
