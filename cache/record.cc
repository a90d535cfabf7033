#include "cache/record.h"

#include <algorithm>

#include "engine/hash/block_hash.h"

namespace cpaway::cache {
namespace {

constexpr uint32_t kMaxVarintShift = 63;

uint32_t check_of(ByteSpan rest) {
  return load_be<uint32_t>(hash::block_hash(rest).data());
}

}  // namespace

size_t varint_size(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80U) {
    value >>= 7U;
    ++size;
  }
  return size;
}

void RecordWriter::u32(uint32_t value) {
  out_.resize(out_.size() + sizeof value);
  store_be(out_.data() + out_.size() - sizeof value, value);
}

void RecordWriter::u64(uint64_t value) {
  out_.resize(out_.size() + sizeof value);
  store_be(out_.data() + out_.size() - sizeof value, value);
}

void RecordWriter::varint(uint64_t value) {
  while (value >= 0x80U) {
    u8(static_cast<uint8_t>(value | 0x80U));
    value >>= 7U;
  }
  u8(static_cast<uint8_t>(value));
}

void RecordWriter::zigzag(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  varint((bits << 1U) ^ (value < 0 ? ~uint64_t{0} : 0));
}

void RecordWriter::text(std::string_view text) {
  varint(text.size());
  raw(as_bytes(text));
}

Bytes RecordWriter::finish() {
  store_be(out_.data(), check_of(ByteSpan(out_).subspan(kCheckSize)));
  return std::move(out_);
}

RecordReader::RecordReader(ByteSpan value) {
  if (value.size() < kCheckSize ||
      load_be<uint32_t>(value.data()) != check_of(value.subspan(kCheckSize))) {
    failed_ = true;
    return;
  }
  rest_ = value.subspan(kCheckSize);
}

ByteSpan RecordReader::raw(size_t size) {
  if (failed_ || size > rest_.size()) {
    failed_ = true;
    return {};
  }
  const ByteSpan bytes = rest_.first(size);
  rest_ = rest_.subspan(size);
  return bytes;
}

uint8_t RecordReader::u8() {
  const ByteSpan bytes = raw(1);
  return bytes.empty() ? uint8_t{0} : bytes[0];
}

uint32_t RecordReader::u32() {
  const ByteSpan bytes = raw(sizeof(uint32_t));
  return bytes.empty() ? 0 : load_be<uint32_t>(bytes.data());
}

uint64_t RecordReader::u64() {
  const ByteSpan bytes = raw(sizeof(uint64_t));
  return bytes.empty() ? 0 : load_be<uint64_t>(bytes.data());
}

uint64_t RecordReader::varint() {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift <= kMaxVarintShift; shift += 7) {
    const uint8_t byte = u8();
    if (failed_ || (shift == kMaxVarintShift && byte > 1)) {
      break;
    }
    value |= uint64_t{byte & 0x7fU} << shift;
    if ((byte & 0x80U) == 0) {
      return value;
    }
  }
  failed_ = true;
  return 0;
}

int64_t RecordReader::zigzag() {
  const uint64_t bits = varint();
  return static_cast<int64_t>((bits >> 1U) ^ ((bits & 1U) != 0 ? ~uint64_t{0} : 0));
}

std::string RecordReader::text(size_t limit) {
  const uint64_t size = varint();
  if (size > limit) {
    failed_ = true;
  }
  return std::string(as_text(raw(failed_ ? 0 : size)));
}

std::string RecordReader::tail(size_t limit) {
  if (rest_.size() > limit) {
    failed_ = true;
  }
  return std::string(as_text(raw(failed_ ? 0 : rest_.size())));
}

}  // namespace cpaway::cache
