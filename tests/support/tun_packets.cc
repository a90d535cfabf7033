#include "tests/support/tun_packets.h"

#include <netinet/in.h>

#include "tests/support/tun_frame.h"

namespace cpaway::testing {
namespace {

constexpr size_t kIp = kVnetHeaderBytes;
constexpr size_t kTcp = kIp + 20;
constexpr uint8_t kAck = 0x10;

}  // namespace

Bytes plain_frame(size_t bytes, uint32_t mark) {
  Bytes frame(kVnetHeaderBytes + bytes);
  store_be(&frame[kIp], mark);
  return frame;
}

Bytes tcp_frame(size_t payload_bytes, uint16_t segment_bytes) {
  Bytes frame(kVnetHeaderBytes + kTestHeaderBytes);
  frame[1] = 1;  // gso_type: TCP over IPv4
  std::memcpy(&frame[4], &segment_bytes, sizeof segment_bytes);
  frame[kIp] = 0x45;
  store_be(&frame[kIp + 2], static_cast<uint16_t>(kTestHeaderBytes + payload_bytes));
  store_be<uint16_t>(&frame[kIp + 4], 0xfffe);  // the id of later segments wraps
  frame[kIp + 9] = IPPROTO_TCP;
  store_be<uint32_t>(&frame[kIp + 12], 0x0a4d0001);
  store_be<uint32_t>(&frame[kIp + 16], 0x0a4d0002);
  store_be<uint32_t>(&frame[kTcp + 4], 0xffffff00);  // so does the sequence number
  frame[kTcp + 12] = (kTestHeaderBytes - 20) / 4 << 4;
  frame[kTcp + 13] = kTcpFin | kTcpPush | kTcpCwr | kAck;
  for (size_t i = 0; i < payload_bytes; ++i) {
    frame.push_back(static_cast<uint8_t>(i * 7 + i / 251));
  }
  return frame;
}

uint32_t mark_of(ByteSpan frame) {
  return load_be<uint32_t>(&frame[kIp]);
}

Bytes payload_of(ByteSpan frame) {
  return {frame.begin() + kVnetHeaderBytes + kTestHeaderBytes, frame.end()};
}

uint32_t tcp_sequence(ByteSpan frame) {
  return load_be<uint32_t>(&frame[kTcp + 4]);
}

unsigned tcp_flags(ByteSpan frame) {
  return frame[kTcp + 13];
}

size_t ip_packet_bytes(ByteSpan frame) {
  return load_be<uint16_t>(&frame[kIp + 2]);
}

bool ip_checksum_holds(ByteSpan frame) {
  uint32_t sum = 0;
  for (size_t i = 0; i < 20; i += 2) {
    sum += load_be<uint16_t>(&frame[kIp + i]);
  }
  return (sum & 0xffffU) + (sum >> 16U) == 0xffffU;
}

}  // namespace cpaway::testing
