// Fields of a payload, written and read with bounds.
//
// A message is a plain struct that lists its fields once, with CPAWAY_FIELDS; Encoder and Decoder
// visit the list. The layouts (engine/PROTOCOL.md, "Field types"):
//   u8 u16 u32 u64 i64, enums   big-endian, fixed size       bool  u8, 0 or 1
//   std::string                 u16 length, bytes            std::array<u8, N>  N bytes
//   Bytes                       u32 length, bytes            std::vector<T>     u32 count, items
//   std::optional<T>            u8 0 or 1, then T            struct             its fields
// What follows the fields in a payload is the message's bulk data, where it has any.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

#define CPAWAY_FIELDS(...)             \
  template <class Visitor>             \
  void visit(Visitor& visitor) {       \
    visitor(__VA_ARGS__);              \
  }                                    \
  template <class Visitor>             \
  void visit(Visitor& visitor) const { \
    visitor(__VA_ARGS__);              \
  }                                    \
  bool operator==(const Self&) const = default

namespace cpaway::wire {

// Items in a vector field at most; a count above it is malformed.
inline constexpr uint32_t kMaxItems = 1U << 16U;
// Bytes in a string field at most (paths, names, detail texts; PATH_MAX is 4096).
inline constexpr size_t kMaxString = 4096;

template <class T>
concept Struct = requires(T& t, int& v) {
  sizeof(typename T::Self);
};

class Encoder {
 public:
  explicit Encoder(Bytes& out) : out_(out) {}

  template <class... Fields>
  void operator()(const Fields&... fields) {
    (put(fields), ...);
  }

 private:
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void put(T value) {
    const size_t at = out_.size();
    out_.resize(at + sizeof(T));
    store_be(out_.data() + at, static_cast<uint64_t>(value), sizeof(T));
  }
  // Longer strings cannot be sent; the receiver would refuse them. Callers bound theirs.
  void put(const std::string& text);
  void put(const Bytes& bytes);
  template <size_t N>
  void put(const std::array<uint8_t, N>& bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  template <class T>
  void put(const std::vector<T>& items) {
    put(static_cast<uint32_t>(items.size()));
    for (const T& item : items) {
      put(item);
    }
  }
  template <class T>
  void put(const std::optional<T>& item) {
    put(static_cast<uint8_t>(item ? 1 : 0));
    if (item) {
      put(*item);
    }
  }
  template <Struct T>
  void put(const T& item) {
    item.visit(*this);
  }
  static void store_be(uint8_t* to, uint64_t value, size_t size) {
    for (size_t i = size; i-- > 0; value >>= 8U) {
      to[i] = static_cast<uint8_t>(value);
    }
  }

  Bytes& out_;
};

// Reads fields from the front of `in`. The first field that does not fit sets failed(); what was
// read after that is zero and must not be used.
class Decoder {
 public:
  explicit Decoder(ByteSpan in) : in_(in) {}

  template <class... Fields>
  void operator()(Fields&... fields) {
    (get(fields), ...);
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] ByteSpan rest() const { return in_; }

 private:
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void get(T& value) {
    if (const uint8_t* from = take(sizeof(T))) {
      uint64_t raw = 0;
      for (size_t i = 0; i < sizeof(T); ++i) {
        raw = (raw << 8U) | from[i];
      }
      if constexpr (std::is_same_v<T, bool>) {
        failed_ = failed_ || raw > 1;
        value = raw == 1;
      } else {
        value = static_cast<T>(raw);
      }
    }
  }
  void get(std::string& text);
  void get(Bytes& bytes);
  template <size_t N>
  void get(std::array<uint8_t, N>& bytes) {
    if (const uint8_t* from = take(N)) {
      std::memcpy(bytes.data(), from, N);
    }
  }
  template <class T>
  void get(std::vector<T>& items) {
    uint32_t count = 0;
    get(count);
    // Every item is at least a byte long: a count beyond the rest is a lie, and allocates nothing.
    if (count > kMaxItems || count > in_.size()) {
      failed_ = true;
      return;
    }
    items.clear();
    for (uint32_t i = 0; i < count && !failed_; ++i) {
      get(items.emplace_back());
    }
  }
  template <class T>
  void get(std::optional<T>& item) {
    bool present = false;
    get(present);
    item.reset();
    if (present && !failed_) {
      get(item.emplace());
    }
  }
  template <Struct T>
  void get(T& item) {
    item.visit(*this);
  }
  // The next `size` bytes, or null and failed.
  const uint8_t* take(size_t size);

  ByteSpan in_;
  bool failed_ = false;
};

}  // namespace cpaway::wire
