// Byte buffers and views, and the integer layouts that the wire and the store use.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace cpaway {

using Bytes = std::vector<uint8_t>;
using ByteSpan = std::span<const uint8_t>;

// Content that several owners read and none changes: a block in the window, queued for sending.
using SharedBytes = std::shared_ptr<const Bytes>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Big-endian load of sizeof(T) bytes.
template <typename T>
T load_be(const uint8_t* from) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>((static_cast<uint64_t>(value) << 8U) | from[i]);
  }
  return value;
}

template <typename T>
void store_be(uint8_t* to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * (sizeof(T) - 1 - i)));
  }
}

}  // namespace cpaway
