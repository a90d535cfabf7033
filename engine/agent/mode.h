// What a restricted key may do: the agent started by a forced command with --mode.
//
// A mode is enforced in one place, the dispatch table's effects column; open and rename, whose
// effect depends on their flags, ask again with what their flags mean.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/result.h"

namespace cpaway::agent {

enum class Mode { unrestricted, read_only, write_only, no_delete };

// What a request does, as bits.
inline constexpr uint8_t kLooks = 0;         // names, attributes, listings
inline constexpr uint8_t kReadsContent = 1;  // bytes of files
inline constexpr uint8_t kWrites = 2;        // creates or changes something
inline constexpr uint8_t kRemoves = 4;       // a name is gone afterwards

// "read-only", "write-only" or "no-delete".
[[nodiscard]] Result<Mode> parse_mode(std::string_view text);
// EROFS, EACCES or EPERM where `mode` forbids one of `effects`.
[[nodiscard]] Status check_allowed(Mode mode, uint8_t effects);

}  // namespace cpaway::agent
