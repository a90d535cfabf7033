#include "tools/mount_table.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "engine/base/fd.h"

namespace cpaway::tools {
namespace {

// Takes the text up to `end`, and `end` itself, off the front.
std::string_view take_until(std::string_view& text, char end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

bool is_octal_escape(std::string_view text) {
  return text.size() >= 4 && text[0] == '\\' &&
         std::all_of(text.begin() + 1, text.begin() + 4,
                     [](char c) { return c >= '0' && c <= '7'; });
}

// The kernel writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (is_octal_escape(text.substr(at))) {
      out.push_back(static_cast<char>((text[at + 1] - '0') * 64 + (text[at + 2] - '0') * 8 +
                                      (text[at + 3] - '0')));
      at += 4;
    } else {
      out.push_back(text[at++]);
    }
  }
  return out;
}

// "36 35 98:0 /root /mountpoint options [optional...] - type source superoptions"
std::optional<MountEntry> parse_line(std::string_view line) {
  for (int field = 0; field < 4; ++field) {
    take_until(line, ' ');
  }
  const std::string_view mountpoint = take_until(line, ' ');
  while (!line.empty() && take_until(line, ' ') != "-") {
  }
  const std::string_view type = take_until(line, ' ');
  const std::string_view source = take_until(line, ' ');
  if (mountpoint.empty() || type.empty()) {
    return std::nullopt;
  }
  return MountEntry{unescape(mountpoint), unescape(type), unescape(source)};
}

}  // namespace

std::vector<MountEntry> parse_mountinfo(std::string_view text) {
  std::vector<MountEntry> table;
  while (!text.empty()) {
    if (auto entry = parse_line(take_until(text, '\n'))) {
      table.push_back(std::move(*entry));
    }
  }
  return table;
}

Result<std::vector<MountEntry>> read_mount_table() {
  static constexpr const char* kPath = "/proc/self/mountinfo";
  const UniqueFd file(open(kPath, O_RDONLY | O_CLOEXEC));
  if (!file) {
    return fail_os(errno, kPath);
  }
  std::string text;
  std::array<uint8_t, 16384> block;
  while (true) {
    CPAWAY_ASSIGN(const size_t count, read_full(file.get(), block));
    text.append(as_text({block.data(), count}));
    if (count < block.size()) {
      return parse_mountinfo(text);
    }
  }
}

std::optional<MountEntry> find_mount(const std::vector<MountEntry>& table,
                                     std::string_view mountpoint) {
  const auto found = std::find_if(
      table.rbegin(), table.rend(),
      [mountpoint](const MountEntry& entry) { return entry.mountpoint == mountpoint; });
  return found == table.rend() ? std::nullopt : std::optional(*found);
}

}  // namespace cpaway::tools
