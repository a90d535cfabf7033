// The identity of a block: XXH3-128 (xxHash 0.8, seed 0, canonical big-endian form).
//
// It finds damage and, later, equal chunks; it does not withstand an attacker and need not: the
// SHA-256 of the whole file decides at commit, and the channel is authenticated by SSH.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/bytes.h"

namespace cpaway::hash {

using BlockHash = std::array<uint8_t, 16>;

[[nodiscard]] BlockHash block_hash(ByteSpan bytes);

}  // namespace cpaway::hash
