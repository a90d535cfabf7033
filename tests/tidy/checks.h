// The rules: what one file may hold, and what the top level may.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cpaway::tidy {

struct Finding {
  std::string file;
  size_t line = 0;  // 0: the whole file
  std::string what;
};

// Everything about one C++ source; `path` is relative to the top.
[[nodiscard]] std::vector<Finding> check_source(const std::string& path, std::string_view text);

// A file that begins with "#!" must be executable, any other must not be.
[[nodiscard]] std::vector<Finding> check_script(const std::string& path, std::string_view text,
                                                bool executable);

// The names in the top directory.
[[nodiscard]] std::vector<Finding> check_top_level(const std::vector<std::string>& names);

}  // namespace cpaway::tidy
