// What is mounted: [USER@]HOST:[DIR], with an IPv6 address in brackets.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace cpaway::tools {

struct Source {
  std::string user;       // "" where none is named
  std::string host;       // without brackets
  std::string directory;  // "" is the login directory
};

// Errors say what form is expected. A user or host that begins with '-' is refused, since the ssh
// program would take it for an option.
[[nodiscard]] Result<Source> parse_source(std::string_view text);

}  // namespace cpaway::tools
