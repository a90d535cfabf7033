#include "engine/transport/terminal_text.h"

#include <utility>
#include <vector>

namespace cpaway::transport {
namespace {

uint8_t byte_at(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

// The length of the UTF-8 sequence at `i`, 0 where there is none that a terminal may see.
size_t printable_length(std::string_view text, size_t i) {
  const uint8_t first = byte_at(text, i);
  if (first < 0x80) {
    return first >= 0x20 && first != 0x7f ? 1 : 0;
  }
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() - i < length) {
    return 0;
  }
  for (size_t k = 1; k < length; ++k) {
    if ((byte_at(text, i + k) & 0xc0U) != 0x80) {
      return 0;
    }
  }
  const bool c1_control = first == 0xc2 && byte_at(text, i + 1) < 0xa0;
  return c1_control ? 0 : length;
}

std::string printable_line(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    const size_t length = printable_length(line, i);
    if (length == 0) {
      out.push_back(line[i] == '\t' ? ' ' : '?');
      ++i;
      continue;
    }
    out.append(line.substr(i, length));
    i += length;
  }
  return out;
}

std::string_view trim(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) {
    return {};
  }
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    if (!line.empty()) {
      lines.push_back(printable_line(line));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

std::string terminal_text(std::string_view text) {
  std::string out;
  for (const std::string& line : lines_of(text)) {
    out.append(out.empty() ? "" : "; ").append(line);
  }
  return out;
}

std::string last_line(std::string_view text) {
  const auto lines = lines_of(text);
  return lines.empty() ? std::string() : lines.back();
}

std::string first_line(std::string_view text) {
  const auto lines = lines_of(text);
  return lines.empty() ? std::string() : lines.front();
}

void StderrTail::append(ByteSpan bytes) {
  if (bytes.size() > kMaxSize) {
    bytes = bytes.last(kMaxSize);
  }
  if (text_.size() + bytes.size() > kMaxSize) {
    text_.erase(0, text_.size() + bytes.size() - kMaxSize);
  }
  text_.append(as_text(bytes));
}

std::string StderrTail::take() {
  return terminal_text(std::exchange(text_, {}));
}

}  // namespace cpaway::transport
