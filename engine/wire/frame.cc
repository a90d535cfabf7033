#include "engine/wire/frame.h"

#include "engine/base/strings.h"

namespace cpaway::wire {

std::span<uint8_t> FrameReader::space() {
  if (in_payload_) {
    return std::span(payload_).subspan(filled_);
  }
  return std::span(header_).subspan(filled_);
}

Result<std::optional<Incoming>> FrameReader::next() {
  if (!in_payload_) {
    if (filled_ < kFrameHeaderSize) {
      return std::optional<Incoming>{};
    }
    const auto size = load_be<uint32_t>(header_);
    op_ = static_cast<Op>(header_[4]);
    if (size < sizeof(uint32_t) || size > kMaxPayload) {
      return fail(Errc::protocol, concat("frame of ", size, " bytes"));
    }
    if (op_name(op_).empty()) {
      return fail(Errc::protocol, concat("frame with operation ", header_[4]));
    }
    payload_.resize(size);
    in_payload_ = true;
    filled_ = 0;
  }
  if (filled_ < payload_.size()) {
    return std::optional<Incoming>{};
  }
  Incoming frame{op_, load_be<uint32_t>(payload_.data()), std::move(payload_)};
  payload_ = Bytes{};
  in_payload_ = false;
  filled_ = 0;
  return std::optional<Incoming>(std::move(frame));
}

}  // namespace cpaway::wire
