#include "engine/wire/codec.h"

#include "engine/base/check.h"

namespace cpaway::wire {

void Encoder::put(const std::string& text) {
  CHECK(text.size() <= 0xffff);
  put(static_cast<uint16_t>(text.size()));
  out_.insert(out_.end(), text.begin(), text.end());
}

void Encoder::put(const Bytes& bytes) {
  put(static_cast<uint32_t>(bytes.size()));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

void Decoder::get(std::string& text) {
  uint16_t size = 0;
  get(size);
  if (size > kMaxString) {
    failed_ = true;
    return;
  }
  if (const uint8_t* from = take(size)) {
    text.assign(reinterpret_cast<const char*>(from), size);
  }
}

void Decoder::get(Bytes& bytes) {
  uint32_t size = 0;
  get(size);
  if (const uint8_t* from = take(size)) {
    bytes.assign(from, from + size);
  }
}

const uint8_t* Decoder::take(size_t size) {
  if (failed_ || size > in_.size()) {
    failed_ = true;
    return nullptr;
  }
  const uint8_t* from = in_.data();
  in_ = in_.subspan(size);
  return from;
}

}  // namespace cpaway::wire
