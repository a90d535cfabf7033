// The table of mount options: a name, whether it has a value, and what it does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/mount_options.h"

namespace cpaway::tools {

enum class Takes { nothing, value, either };

struct OptionRule {
  std::string_view name;
  Takes takes;
  // `value` is "" where none was given.
  Status (*apply)(MountOptions& options, std::string_view value);
};

// The rule for a name: cpaway's own as they are written, ssh's in any case. Null where there is
// none.
[[nodiscard]] const OptionRule* find_option_rule(std::string_view name);

// True for words of fstab and of mount(8) that change nothing here: "_netdev", "x-...".
[[nodiscard]] bool is_fstab_word(std::string_view name);

// All names, to suggest one from.
[[nodiscard]] std::vector<std::string_view> known_option_names();

}  // namespace cpaway::tools
