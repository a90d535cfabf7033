// C++ source as the checks look at it: what it includes, and its text without comments and strings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cpaway::tidy {

struct Include {
  size_t line = 0;
  std::string path;
  bool quoted = false;  // "path", not <path>
};

// Lines count from 1.
struct Block {
  size_t first_line = 0;
  size_t last_line = 0;
};

[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text);

// Blanks the content of comments, literals and preprocessor lines; lines stay where they were.
[[nodiscard]] std::string without_comments(std::string_view text);

[[nodiscard]] std::vector<Include> find_includes(std::string_view text);

// The bodies of functions, by their braces: what opens a brace in a namespace or class without
// being one. Lambdas count as part of the function they are in.
[[nodiscard]] std::vector<Block> find_functions(std::string_view text);

}  // namespace cpaway::tidy
