#include "engine/transport/config_keyword.h"

#include <algorithm>
#include <cctype>

#include "engine/transport/known_hosts.h"

namespace cpaway::transport {
namespace {

struct Line {
  std::string keyword;  // in lower case
  std::string value;    // without quotes
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// "Keyword value" or "Keyword = value".
Line parse_line(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = std::min(line.find_first_not_of(kBlank), line.size());
  line.remove_prefix(first);
  if (line.starts_with("#")) {
    return {};
  }
  const size_t keyword_end = std::min(line.find_first_of(" \t\r="), line.size());
  Line out{lower(line.substr(0, keyword_end)), {}};
  line.remove_prefix(keyword_end);
  line.remove_prefix(std::min(line.find_first_not_of(" \t\r="), line.size()));
  const size_t last = line.find_last_not_of(kBlank);
  out.value = std::string(line.substr(0, last == std::string_view::npos ? 0 : last + 1));
  std::erase(out.value, '"');
  return out;
}

bool block_matches(const Line& line, std::string_view host) {
  if (line.keyword != "host") {
    return false;  // Match
  }
  std::string patterns = line.value;
  std::replace_if(
      patterns.begin(), patterns.end(), [](char c) { return c == ' ' || c == '\t'; }, ',');
  return host_matches(patterns, host);
}

}  // namespace

std::optional<std::string> config_keyword(std::string_view text, std::string_view host,
                                          std::string_view keyword) {
  const std::string wanted = lower(keyword);
  bool applies = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const Line line = parse_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.keyword == "host" || line.keyword == "match") {
      applies = block_matches(line, host);
    } else if (applies && line.keyword == wanted) {
      return line.value;
    }
  }
  return std::nullopt;
}

}  // namespace cpaway::transport
