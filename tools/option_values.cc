#include "tools/option_values.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "engine/base/strings.h"

namespace cpaway::tools {
namespace {

tl::unexpected<Error> bad_value(std::string_view option, std::string_view value,
                                std::string_view expected) {
  return fail(Errc::invalid, concat("option ", option, ": \"", value, "\" is not ", expected));
}

bool parse_all(std::string_view text, int base, uint64_t& into) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, into, base);
  return !text.empty() && parsed.ec == std::errc() && parsed.ptr == end;
}

// How many letters differ between the two words (Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

unsigned suffix_shift(char suffix) {
  switch (suffix) {
    case 'k':
    case 'K':
      return 10;
    case 'm':
    case 'M':
      return 20;
    case 'g':
    case 'G':
      return 30;
    default:
      return 0;
  }
}

}  // namespace

Result<uint64_t> parse_number(std::string_view option, std::string_view value, uint64_t min,
                              uint64_t max) {
  uint64_t number = 0;
  if (!parse_all(value, 10, number) || number < min || number > max) {
    return bad_value(option, value, concat("a number from ", min, " to ", max));
  }
  return number;
}

Result<uint32_t> parse_umask(std::string_view option, std::string_view value) {
  uint64_t number = 0;
  if (!parse_all(value, 8, number) || number > 0777) {
    return bad_value(option, value, "an octal number from 0 to 777");
  }
  return static_cast<uint32_t>(number);
}

Result<uint64_t> parse_size(std::string_view option, std::string_view value, uint64_t min,
                            uint64_t max) {
  const unsigned shift = value.empty() ? 0 : suffix_shift(value.back());
  const std::string_view digits = shift == 0 ? value : value.substr(0, value.size() - 1);
  uint64_t number = 0;
  const bool in_range =
      parse_all(digits, 10, number) && number <= (max >> shift) && (number << shift) >= min;
  if (!in_range) {
    return bad_value(option, value,
                     concat("a size from ", min >> 20U, "M to ", max >> 20U, "M (K, M, G behind)"));
  }
  return number << shift;
}

Result<bool> parse_yes_no(std::string_view option, std::string_view value) {
  CPAWAY_ASSIGN(const size_t index, parse_word(option, value, {"no", "yes"}));
  return index == 1;
}

Result<size_t> parse_word(std::string_view option, std::string_view value,
                          std::initializer_list<std::string_view> words) {
  const auto* const found = std::find(words.begin(), words.end(), value);
  if (found != words.end()) {
    return static_cast<size_t>(found - words.begin());
  }
  std::string expected = "one of";
  for (const std::string_view word : words) {
    expected += concat(" ", word);
  }
  return bad_value(option, value, expected);
}

Result<std::vector<std::string>> parse_names(std::string_view option, std::string_view value) {
  std::vector<std::string> names;
  size_t start = 0;
  while (start <= value.size()) {
    const size_t colon = std::min(value.find(':', start), value.size());
    if (colon == start) {
      return bad_value(option, value, "a list of names with colons between them");
    }
    names.emplace_back(value.substr(start, colon - start));
    start = colon + 1;
  }
  return names;
}

std::string absolute_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.front() == '%') {
    return std::string(path);
  }
  if (path.starts_with("~/")) {
    return concat(home_directory(), path.substr(1));
  }
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(std::filesystem::path(path), failed);
  return failed ? std::string(path) : absolute.string();
}

std::string home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return home;
  }
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr || entry->pw_dir == nullptr ? "/" : entry->pw_dir;
}

std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& known) {
  std::string_view nearest;
  size_t nearest_score = name.size() < 4 ? 4 : 6;  // what differs by this much is another word
  for (const std::string_view candidate : known) {
    const size_t other_size = candidate.size() == name.size() ? 0 : 1;
    const size_t score = 2 * edit_distance(name, candidate) + other_size;
    if (score < nearest_score) {
      nearest_score = score;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace cpaway::tools
