// block_hash() in the form that processors with AVX2 compute twice as fast.
#pragma once

#include "engine/hash/block_hash.h"

namespace cpaway::hash {

// Only where the processor has AVX2; only in builds for x86-64 (CPAWAY_HASH_AVX2).
[[nodiscard]] BlockHash block_hash_avx2(ByteSpan bytes);

}  // namespace cpaway::hash
