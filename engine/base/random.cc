#include "engine/base/random.h"

#include <sys/random.h>

#include "engine/base/check.h"

namespace cpaway {

void fill_random(std::span<unsigned char> into) {
  // Up to 256 bytes getrandom is never short once the pool is ready (getrandom(2)).
  CHECK(into.size() <= 256);
  CHECK(getrandom(into.data(), into.size(), 0) == static_cast<ssize_t>(into.size()));
}

std::string random_hex(size_t digits) {
  CHECK(digits <= 32);
  static constexpr char kDigits[] = "0123456789abcdef";
  unsigned char bytes[32];
  fill_random({bytes, digits});
  std::string text;
  for (size_t i = 0; i < digits; ++i) {
    text.push_back(kDigits[bytes[i] & 15U]);
  }
  return text;
}

}  // namespace cpaway
