// Frames: what travels on the stream, in both directions (engine/PROTOCOL.md, "Frames").
//
//   u32 payload size (big-endian) | u8 operation | payload: u32 request id, fields, bulk data
#pragma once

#include <optional>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/wire/op.h"

namespace cpaway::wire {

inline constexpr size_t kFrameHeaderSize = 5;
// A block, and the most that one read, write or put_file carries.
inline constexpr uint32_t kBlockSize = 1U << 20U;
// A payload above this ends the connection: a block and room for its fields and for attributes.
inline constexpr uint32_t kMaxPayload = kBlockSize + (256U << 10U);

// An outgoing frame. `head` holds the frame header, id and fields; `bulk` is shared, so that a
// block in the window is sent without a copy.
struct Frame {
  Bytes head;
  SharedBytes bulk;  // may be null

  [[nodiscard]] size_t size() const { return head.size() + (bulk ? bulk->size() : 0); }
};

// A received frame: the payload after the request id.
struct Incoming {
  Op op{};
  uint32_t id = 0;
  Bytes payload;  // with the four bytes of the id still in front

  [[nodiscard]] ByteSpan body() const { return ByteSpan(payload).subspan(sizeof id); }
};

// Cuts a byte stream into frames; the caller feeds what arrived and takes what is whole.
// Not thread-safe. After an error the stream cannot be used any more.
class FrameReader {
 public:
  // Where the next bytes of the stream belong: read at most this many into it, then call filled().
  [[nodiscard]] std::span<uint8_t> space();
  void filled(size_t size) { filled_ += size; }
  // The next whole frame; nothing where more bytes are needed; Errc::protocol where a frame is too
  // large, too small or has an operation that nobody sends.
  [[nodiscard]] Result<std::optional<Incoming>> next();

 private:
  bool in_payload_ = false;
  uint8_t header_[kFrameHeaderSize] = {};
  Op op_{};
  Bytes payload_;
  size_t filled_ = 0;  // of the header, or of the payload
};

}  // namespace cpaway::wire
