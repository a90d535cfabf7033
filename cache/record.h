// Values of the store: writing them, and reading them with bounds. FORMAT.md has the field types.
//
// A reader that has failed returns zeros and stays failed, so that a decoder reads all its fields
// and asks once, at the end. Nothing read from disk is trusted before that.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/bytes.h"

namespace cpaway::cache {

inline constexpr size_t kCheckSize = 4;

// The bytes that `varint` takes for the value.
[[nodiscard]] size_t varint_size(uint64_t value);

class RecordWriter {
 public:
  RecordWriter() : out_(kCheckSize) {}
  void u8(uint8_t value) { out_.push_back(value); }
  void u32(uint32_t value);
  void u64(uint64_t value);
  void varint(uint64_t value);
  void zigzag(int64_t value);
  void raw(ByteSpan bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text);
  [[nodiscard]] size_t size() const { return out_.size(); }
  // The value, its check filled in.
  [[nodiscard]] Bytes finish();

 private:
  Bytes out_;
};

class RecordReader {
 public:
  // Fails at once where the check is wrong.
  explicit RecordReader(ByteSpan value);
  uint8_t u8();
  uint32_t u32();
  uint64_t u64();
  uint64_t varint();
  int64_t zigzag();
  ByteSpan raw(size_t size);
  std::string text(size_t limit);
  std::string tail(size_t limit);
  void fail() { failed_ = true; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  // All fields were there and nothing follows them.
  [[nodiscard]] bool complete() const { return !failed_ && rest_.empty(); }

 private:
  ByteSpan rest_;
  bool failed_ = false;
};

}  // namespace cpaway::cache
