#define XXH_INLINE_ALL
#include "engine/hash/block_hash.h"

#include <xxhash.h>

namespace cpaway::hash {

BlockHash block_hash(ByteSpan bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  BlockHash out;
  static_assert(sizeof canonical.digest == sizeof(BlockHash));
  std::memcpy(out.data(), canonical.digest, out.size());
  return out;
}

}  // namespace cpaway::hash
