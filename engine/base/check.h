// CHECK(condition): our own mistakes, in every build. Bytes from a peer, a disk or the kernel are
// judged and answered with an error, never checked this way.
#pragma once

namespace cpaway {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace cpaway

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::cpaway::check_failed(#condition, __FILE__, __LINE__))
