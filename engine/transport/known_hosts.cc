#include "engine/transport/known_hosts.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace cpaway::transport {
namespace {

std::string_view next_word(std::string_view& line) {
  const size_t first = std::min(line.find_first_not_of(" \t\r"), line.size());
  line.remove_prefix(first);
  const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

bool same_letter(char a, char b) {
  return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

// Linear: remembers the last star only.
bool glob(std::string_view pattern, std::string_view name) {
  size_t p = 0;
  size_t n = 0;
  size_t star = std::string_view::npos;
  size_t star_n = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_n = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || same_letter(pattern[p], name[n]))) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_n;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<ptrdiff_t>(p), pattern.end(),
                     [](char c) { return c == '*'; });
}

HostMark line_mark(std::string_view line, std::string_view name, std::string_view key) {
  const std::string_view marker = next_word(line);
  const std::string_view patterns = next_word(line);
  next_word(line);  // the key's type
  const std::string_view marked_key = next_word(line);
  const bool hashed = patterns.starts_with("|");
  if (marker == "@revoked" && marked_key == key && (hashed || host_matches(patterns, name))) {
    return HostMark::revoked;
  }
  if (marker == "@cert-authority" && !hashed && host_matches(patterns, name)) {
    return HostMark::cert_authority;
  }
  return HostMark::none;
}

}  // namespace

bool host_matches(std::string_view patterns, std::string_view name) {
  bool matches = false;
  while (!patterns.empty()) {
    const size_t end = std::min(patterns.find(','), patterns.size());
    std::string_view pattern = patterns.substr(0, end);
    patterns.remove_prefix(std::min(end + 1, patterns.size()));
    const bool negated = pattern.starts_with("!");
    if (negated) {
      pattern.remove_prefix(1);
    }
    if (!pattern.empty() && glob(pattern, name)) {
      if (negated) {
        return false;
      }
      matches = true;
    }
  }
  return matches;
}

HostMark host_mark(std::string_view text, std::string_view name, std::string_view key) {
  HostMark strongest = HostMark::none;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const HostMark mark = line_mark(text.substr(0, end), name, key);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (mark == HostMark::revoked) {
      return mark;
    }
    if (mark != HostMark::none) {
      strongest = mark;
    }
  }
  return strongest;
}

}  // namespace cpaway::transport
