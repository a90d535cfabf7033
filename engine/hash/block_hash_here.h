// The hash, compiled for the instructions that the including file is compiled for; only for
// block_hash*.cc.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "engine/hash/block_hash.h"

namespace cpaway::hash {

static BlockHash block_hash_here(ByteSpan bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  BlockHash out;
  static_assert(sizeof canonical.digest == sizeof(BlockHash));
  std::memcpy(out.data(), canonical.digest, out.size());
  return out;
}

}  // namespace cpaway::hash
