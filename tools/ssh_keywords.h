// The names that ssh_config(5) gives its options.
#pragma once

#include <string_view>

namespace cpaway::tools {

// ssh does not tell upper case from lower in them.
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);

// True for a keyword of ssh_config(5), OpenSSH 9.2.
[[nodiscard]] bool is_ssh_keyword(std::string_view name);

}  // namespace cpaway::tools
