#include "tests/support/tun_frame.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstddef>

#include "engine/base/check.h"

namespace cpaway::testing {
namespace {

// virtio_net_hdr; its own header is no C++. Integers are in the machine's order.
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_bytes;
  uint16_t gso_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
static_assert(sizeof(VnetHeader) == kVnetHeaderBytes);

constexpr unsigned kGsoNone = 0;
constexpr unsigned kGsoTcpV4 = 1;
constexpr unsigned kGsoEcn = 0x80;  // may be added to others

constexpr size_t kIpMinBytes = 20;
constexpr size_t kTcpMinBytes = 20;
// Offsets within the IPv4 header.
constexpr size_t kIpLength = 2;
constexpr size_t kIpId = 4;
constexpr size_t kIpProtocol = 9;
constexpr size_t kIpChecksum = 10;
constexpr size_t kIpAddresses = 12;
// Offsets within the TCP header.
constexpr size_t kTcpSequence = 4;
constexpr size_t kTcpDataOffset = 12;
constexpr size_t kTcpFlags = 13;
constexpr size_t kTcpChecksum = 16;
constexpr unsigned kFin = 0x01;
constexpr unsigned kPush = 0x08;
constexpr unsigned kCongestionWindowReduced = 0x80;

VnetHeader vnet_header(ByteSpan frame) {
  VnetHeader header;
  std::memcpy(&header, frame.data(), sizeof header);
  return header;
}

size_t ip_header_bytes(const uint8_t* ip) {
  return (ip[0] & 0x0fU) * 4UL;
}

// The ones' complement sum of 16-bit words, folded but not inverted. `bytes` is even in number.
uint16_t internet_sum(ByteSpan bytes, uint32_t start) {
  uint32_t sum = start;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    sum += load_be<uint16_t>(&bytes[i]);
  }
  while (sum > 0xffffU) {
    sum = (sum & 0xffffU) + (sum >> 16U);
  }
  return static_cast<uint16_t>(sum);
}

void write_ip_header(uint8_t* ip, size_t first_segment, size_t packet_bytes) {
  store_be(ip + kIpLength, static_cast<uint16_t>(packet_bytes));
  store_be(ip + kIpId, static_cast<uint16_t>(load_be<uint16_t>(ip + kIpId) + first_segment));
  store_be<uint16_t>(ip + kIpChecksum, 0);
  const uint16_t sum = internet_sum({ip, ip_header_bytes(ip)}, 0);
  store_be(ip + kIpChecksum, static_cast<uint16_t>(~sum));
}

// The checksum is that of the pseudo header alone: the payload's is left to a device which is not
// there (VIRTIO_NET_HDR_F_NEEDS_CSUM).
void write_tcp_header(uint8_t* ip, size_t skipped_bytes, size_t packet_bytes, bool is_last) {
  uint8_t* tcp = ip + ip_header_bytes(ip);
  const uint32_t sequence = load_be<uint32_t>(tcp + kTcpSequence);
  store_be(tcp + kTcpSequence, static_cast<uint32_t>(sequence + skipped_bytes));
  unsigned flags = tcp[kTcpFlags];
  if (!is_last) {
    flags &= ~(kFin | kPush);
  }
  if (skipped_bytes > 0) {
    flags &= ~kCongestionWindowReduced;
  }
  tcp[kTcpFlags] = static_cast<uint8_t>(flags);
  const auto tcp_bytes = static_cast<uint32_t>(packet_bytes - ip_header_bytes(ip));
  store_be(tcp + kTcpChecksum, internet_sum({ip + kIpAddresses, 8}, IPPROTO_TCP + tcp_bytes));
}

}  // namespace

size_t FrameLayout::wire_bytes(size_t segment) const {
  const bool is_last = segment + 1 == segments;
  return header_bytes + (is_last ? payload_bytes - segment * segment_bytes : segment_bytes);
}

FrameLayout layout_of(ByteSpan frame) {
  FrameLayout whole;
  whole.payload_bytes = frame.size() - std::min(frame.size(), kVnetHeaderBytes);
  if (whole.payload_bytes < kIpMinBytes + kTcpMinBytes) {
    return whole;
  }
  const VnetHeader header = vnet_header(frame);
  const uint8_t* ip = frame.data() + kVnetHeaderBytes;
  const size_t tcp_at = ip_header_bytes(ip);
  if ((header.gso_type & ~kGsoEcn) != kGsoTcpV4 || header.gso_size == 0 ||
      ip[kIpProtocol] != IPPROTO_TCP || tcp_at < kIpMinBytes ||
      tcp_at + kTcpMinBytes > whole.payload_bytes) {
    return whole;
  }
  FrameLayout layout;
  layout.header_bytes = tcp_at + (ip[tcp_at + kTcpDataOffset] >> 4U) * 4UL;
  if (layout.header_bytes >= whole.payload_bytes) {
    return whole;
  }
  layout.payload_bytes = whole.payload_bytes - layout.header_bytes;
  layout.segment_bytes = header.gso_size;
  layout.segments = (layout.payload_bytes + layout.segment_bytes - 1) / layout.segment_bytes;
  return layout;
}

Bytes cut_segments(ByteSpan frame, const FrameLayout& layout, size_t first, size_t count) {
  CHECK(count > 0 && first + count <= layout.segments);
  if (count == layout.segments) {
    return {frame.begin(), frame.end()};
  }
  const bool is_last = first + count == layout.segments;
  const size_t begin = first * layout.segment_bytes;
  const size_t end = is_last ? layout.payload_bytes : begin + count * layout.segment_bytes;
  const ByteSpan headers = frame.first(kVnetHeaderBytes + layout.header_bytes);
  const ByteSpan payload = frame.subspan(headers.size() + begin, end - begin);
  Bytes piece(headers.begin(), headers.end());
  piece.insert(piece.end(), payload.begin(), payload.end());

  VnetHeader header = vnet_header(frame);
  if (count == 1) {
    header.gso_type = kGsoNone;
    header.gso_size = 0;
  }
  std::memcpy(piece.data(), &header, sizeof header);
  uint8_t* ip = piece.data() + kVnetHeaderBytes;
  const size_t packet_bytes = layout.header_bytes + payload.size();
  write_ip_header(ip, first, packet_bytes);
  write_tcp_header(ip, begin, packet_bytes, is_last);
  return piece;
}

}  // namespace cpaway::testing
