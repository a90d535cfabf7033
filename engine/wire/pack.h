// Messages to frames and back: the only way that code outside wire makes or opens a payload.
#pragma once

#include "engine/base/strings.h"
#include "engine/wire/codec.h"
#include "engine/wire/frame.h"
#include "engine/wire/message.h"
#include "engine/wire/status.h"

namespace cpaway::wire {

// Appends the frame header and id; finish_frame fills in the size, `bulk` included.
void begin_frame(Bytes& head, Op op, uint32_t id);
[[nodiscard]] Frame finish_frame(Bytes head, SharedBytes bulk);

template <class Message>
[[nodiscard]] Frame pack_as(Op op, uint32_t id, const Message& message,
                            SharedBytes bulk = nullptr) {
  Bytes head;
  begin_frame(head, op, id);
  Encoder encoder(head);
  message.visit(encoder);
  return finish_frame(std::move(head), std::move(bulk));
}

// A request.
template <class Request>
[[nodiscard]] Frame pack(uint32_t id, const Request& request, SharedBytes bulk = nullptr) {
  return pack_as(Request::kOp, id, request, std::move(bulk));
}

// A good answer, and a bad one.
template <class Answer>
[[nodiscard]] Frame pack_answer(uint32_t id, const Answer& answer, SharedBytes bulk = nullptr) {
  Bytes head;
  begin_frame(head, Op::reply, id);
  Encoder encoder(head);
  encoder(static_cast<uint16_t>(0));
  answer.visit(encoder);
  return finish_frame(std::move(head), std::move(bulk));
}
[[nodiscard]] Frame pack_error(uint32_t id, const Error& error);

// The fields at the front of `body`; `bulk`, where it is asked for, gets what follows them, and
// where it is not, nothing may follow. Errc::protocol otherwise.
template <class Message>
[[nodiscard]] Result<Message> unpack(ByteSpan body, ByteSpan* bulk = nullptr) {
  Message message;
  Decoder decoder(body);
  message.visit(decoder);
  if (decoder.failed() || (bulk == nullptr && !decoder.rest().empty())) {
    return fail(Errc::protocol, "malformed message");
  }
  if (bulk != nullptr) {
    *bulk = decoder.rest();
  }
  return message;
}

// The body of a reply frame: the error it holds, or the bytes of the answer.
[[nodiscard]] Result<ByteSpan> open_reply(ByteSpan body);

}  // namespace cpaway::wire
