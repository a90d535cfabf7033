// Text of the other side, made fit for a terminal and for one line of a log.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/bytes.h"

namespace cpaway::transport {

// Control characters and bytes that are not UTF-8 become '?'; line ends become "; ", blank lines
// and blanks at the ends go.
[[nodiscard]] std::string terminal_text(std::string_view text);
// The last line that is not blank, as terminal_text.
[[nodiscard]] std::string last_line(std::string_view text);
[[nodiscard]] std::string first_line(std::string_view text);

// The newest 4 KiB of what a program printed on its standard error. Not thread-safe.
class StderrTail {
 public:
  static constexpr size_t kMaxSize = 4096;

  void append(ByteSpan bytes);
  // As terminal_text; forgets it.
  [[nodiscard]] std::string take();
  // As it came.
  [[nodiscard]] const std::string& raw() const { return text_; }

 private:
  std::string text_;
};

}  // namespace cpaway::transport
