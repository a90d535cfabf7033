#include "engine/wire/pack.h"

#include "engine/base/check.h"

namespace cpaway::wire {

void begin_frame(Bytes& head, Op op, uint32_t id) {
  head.reserve(128);
  head.resize(kFrameHeaderSize);
  head[4] = static_cast<uint8_t>(op);
  Encoder encoder(head);
  encoder(id);
}

Frame finish_frame(Bytes head, SharedBytes bulk) {
  Frame frame{std::move(head), std::move(bulk)};
  const size_t payload_size = frame.size() - kFrameHeaderSize;
  CHECK(payload_size <= kMaxPayload);
  store_be(frame.head.data(), static_cast<uint32_t>(payload_size));
  return frame;
}

Frame pack_error(uint32_t id, const Error& error) {
  Bytes head;
  begin_frame(head, Op::reply, id);
  Encoder encoder(head);
  encoder(status_to_wire(error.code), errno_to_wire(error.os_errno),
          error.context.substr(0, kMaxString));
  return finish_frame(std::move(head), nullptr);
}

Result<ByteSpan> open_reply(ByteSpan body) {
  Decoder decoder(body);
  uint16_t status = 0;
  decoder(status);
  if (decoder.failed()) {
    return fail(Errc::protocol, "malformed reply");
  }
  if (status == 0) {
    return decoder.rest();
  }
  uint32_t wire_errno = 0;
  std::string context;
  decoder(wire_errno, context);
  if (decoder.failed() || !decoder.rest().empty()) {
    return fail(Errc::protocol, "malformed error reply");
  }
  return fail(error_from_wire(status, wire_errno, std::move(context)));
}

}  // namespace cpaway::wire
