#include "engine/hash/block_hash.h"

#include "engine/hash/block_hash_avx2.h"
#include "engine/hash/block_hash_here.h"

namespace cpaway::hash {

BlockHash block_hash(ByteSpan bytes) {
#ifdef CPAWAY_HASH_AVX2
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) {
    return block_hash_avx2(bytes);
  }
#endif
  return block_hash_here(bytes);
}

}  // namespace cpaway::hash
