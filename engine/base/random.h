// Random bytes from the kernel, for names that must not collide or be guessed.
#pragma once

#include <span>
#include <string>

namespace cpaway {

void fill_random(std::span<unsigned char> into);
// `digits` lower-case hexadecimal digits, 32 at most.
[[nodiscard]] std::string random_hex(size_t digits);

}  // namespace cpaway
