#include "tools/source.h"

#include <algorithm>

#include "engine/base/strings.h"

namespace cpaway::tools {
namespace {

constexpr size_t kMaxNameSize = 255;
constexpr size_t kMaxDirectorySize = 4095;

tl::unexpected<Error> malformed(std::string_view text, std::string_view why) {
  return fail(Errc::invalid, concat("\"", text, "\" ", why, "; expected [USER@]HOST:[DIR]"));
}

bool acceptable(std::string_view name) {
  return name.size() <= kMaxNameSize && !name.starts_with('-') &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c <= 0x20 || c == 0x7f; });
}

// Where the colon between host and directory is; npos where there is none.
size_t find_colon(std::string_view text) {
  const size_t open = text.find('[');
  const size_t colon = text.find(':');
  const bool bracketed = open < colon && (open == 0 || text[open - 1] == '@');
  if (!bracketed) {
    return colon;
  }
  const size_t close = text.find(']', open);
  const bool follows = close < text.size() - 1 && text[close + 1] == ':';
  return follows ? close + 1 : std::string_view::npos;
}

}  // namespace

Result<Source> parse_source(std::string_view text) {
  if (text.starts_with("ssh://") || text.starts_with("sftp://")) {
    return malformed(text, "is a URL");
  }
  const size_t colon = find_colon(text);
  if (colon == std::string_view::npos) {
    return malformed(text, "names no host and directory");
  }
  Source source;
  source.directory = text.substr(colon + 1);
  std::string_view host = text.substr(0, colon);
  if (const size_t at = host.rfind('@'); at != std::string_view::npos) {
    source.user = host.substr(0, at);
    host.remove_prefix(at + 1);
    if (source.user.empty()) {
      return malformed(text, "has an empty user name");
    }
  }
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
  }
  source.host = host;
  if (source.host.empty()) {
    return malformed(text, "names no host (IPv6 addresses stand in brackets)");
  }
  if (!acceptable(source.host) || !acceptable(source.user)) {
    return malformed(text, "has a host or user name that cannot be right");
  }
  if (source.directory.size() > kMaxDirectorySize ||
      source.directory.find('\0') != std::string::npos) {
    return malformed(text, "has a directory name that cannot be right");
  }
  return source;
}

}  // namespace cpaway::tools
