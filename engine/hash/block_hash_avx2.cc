// Compiled with -mavx2: nothing but the hash may be here, since what a file instantiates of shared
// headers could be linked into code for every processor.
#include "engine/hash/block_hash_avx2.h"

#include "engine/hash/block_hash_here.h"

static_assert(XXH_VECTOR == XXH_AVX2);

namespace cpaway::hash {

BlockHash block_hash_avx2(ByteSpan bytes) {
  return block_hash_here(bytes);
}

}  // namespace cpaway::hash
