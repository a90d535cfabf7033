// What a tun device opened with IFF_VNET_HDR hands over: a virtio_net_hdr and an IPv4 packet.
//
// The packet may be a TCP packet of up to 64 KiB that the kernel left whole and that a wire would
// carry as many segments. The emulated link passes such packets in one piece, which is what makes
// it cheap, but counts, delays and loses segments; so it must know them, and cut packets between
// them. Pure functions over bytes.
#pragma once

#include "engine/base/bytes.h"

namespace cpaway::testing {

inline constexpr size_t kVnetHeaderBytes = 10;  // of the virtio_net_hdr
inline constexpr size_t kMaxFrameBytes = kVnetHeaderBytes + 65536;

struct FrameLayout {
  size_t segments = 1;
  size_t header_bytes = 0;   // IP and TCP header, which each segment repeats
  size_t payload_bytes = 0;  // of all segments
  size_t segment_bytes = 0;  // payload of each segment but the last

  // Size of one segment as an IP packet.
  [[nodiscard]] size_t wire_bytes(size_t segment) const;
};

// Whatever is not a TCP packet to be segmented is one segment.
[[nodiscard]] FrameLayout layout_of(ByteSpan frame);
// A frame that holds `count` segments from `first` on. `layout` is that of `frame`.
[[nodiscard]] Bytes cut_segments(ByteSpan frame, const FrameLayout& layout, size_t first,
                                 size_t count);

}  // namespace cpaway::testing
