// "-o a,b=c" cut into names and values, knowing nothing of what they mean.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace cpaway::tools {

struct OptionItem {
  std::string name;
  std::optional<std::string> value;  // what follows the first '='
  bool operator==(const OptionItem&) const = default;
};

// As libfuse cuts it: "\," is a comma and "\\" a backslash inside an item; empty items are nothing.
// Errors: an item without a name ("=value").
[[nodiscard]] Result<std::vector<OptionItem>> split_options(std::string_view text);

}  // namespace cpaway::tools
