// Values of options: numbers, sizes, words, paths. Every error is a line that names the option.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace cpaway::tools {

[[nodiscard]] Result<uint64_t> parse_number(std::string_view option, std::string_view value,
                                            uint64_t min, uint64_t max);

// Octal, as umask(1) writes it: at most 0777.
[[nodiscard]] Result<uint32_t> parse_umask(std::string_view option, std::string_view value);

// Bytes, or KiB, MiB, GiB with K, M, G behind.
[[nodiscard]] Result<uint64_t> parse_size(std::string_view option, std::string_view value,
                                          uint64_t min, uint64_t max);

[[nodiscard]] Result<bool> parse_yes_no(std::string_view option, std::string_view value);

// The position of `value` among `words`.
[[nodiscard]] Result<size_t> parse_word(std::string_view option, std::string_view value,
                                        std::initializer_list<std::string_view> words);

// Names between colons, none of them empty.
[[nodiscard]] Result<std::vector<std::string>> parse_names(std::string_view option,
                                                           std::string_view value);

// "~/" is the home directory, and what is relative starts at the working directory: the mount
// changes its own. A path that begins with '%' is left to ssh, which replaces such tokens.
[[nodiscard]] std::string absolute_path(std::string_view path);

// $HOME, or what the password database says.
[[nodiscard]] std::string home_directory();

// The name in `known` that `name` may have meant, or "".
[[nodiscard]] std::string_view nearest_name(std::string_view name,
                                            const std::vector<std::string_view>& known);

}  // namespace cpaway::tools
