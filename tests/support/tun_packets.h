// Frames as a tun device gives them, built by hand, and what tests ask of them.
#pragma once

#include "engine/base/bytes.h"

namespace cpaway::testing {

inline constexpr size_t kTestHeaderBytes = 52;  // IPv4, and TCP with time stamps
inline constexpr unsigned kTcpFin = 0x01;
inline constexpr unsigned kTcpPush = 0x08;
inline constexpr unsigned kTcpCwr = 0x80;

// A packet of `bytes` that begins with the number `mark`.
[[nodiscard]] Bytes plain_frame(size_t bytes, uint32_t mark);
// A TCP packet with FIN, PSH, ACK and CWR set that is to be cut into segments.
[[nodiscard]] Bytes tcp_frame(size_t payload_bytes, uint16_t segment_bytes);

// Of plain_frame.
[[nodiscard]] uint32_t mark_of(ByteSpan frame);
// Of tcp_frame and its pieces.
[[nodiscard]] Bytes payload_of(ByteSpan frame);
[[nodiscard]] uint32_t tcp_sequence(ByteSpan frame);
[[nodiscard]] unsigned tcp_flags(ByteSpan frame);
[[nodiscard]] size_t ip_packet_bytes(ByteSpan frame);
[[nodiscard]] bool ip_checksum_holds(ByteSpan frame);

}  // namespace cpaway::testing
