// Names that both sides must agree on: which paths are valid, and what a staging file is called.
#pragma once

#include <string>
#include <string_view>

namespace cpaway::wire {

// True for a path that a message may hold (see message.h), of at most 4095 bytes with components
// of at most 255 bytes. "" is valid: the root.
[[nodiscard]] bool valid_path(std::string_view path);

// Staging files are ".cpaway-" + 16 hexadecimal digits + ".part", beside their target. The mount
// neither lists nor opens such names. The digits come from the target's name, so that an upload
// that was cut is found again, or are random where that name is taken.
[[nodiscard]] std::string staging_name_of(std::string_view target_name);
[[nodiscard]] std::string new_staging_name();
[[nodiscard]] bool is_staging_name(std::string_view name);

}  // namespace cpaway::wire
