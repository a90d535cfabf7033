#include "tests/support/tun_frame.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/tun_packets.h"

namespace cpaway::testing {
namespace {

constexpr size_t kSegmentBytes = 1000;
constexpr size_t kHeaders = kTestHeaderBytes;

TEST(TunFrame, PlainPacketIsOneSegment) {
  const Bytes frame = plain_frame(500, 1);
  const FrameLayout layout = layout_of(frame);
  EXPECT_EQ(layout.segments, 1U);
  EXPECT_EQ(layout.wire_bytes(0), 500U);
}

TEST(TunFrame, SuperPacketIsManySegmentsWithHeaders) {
  const FrameLayout layout = layout_of(tcp_frame(2500, kSegmentBytes));
  EXPECT_EQ(layout.segments, 3U);
  EXPECT_EQ(layout.wire_bytes(0), kHeaders + 1000);
  EXPECT_EQ(layout.wire_bytes(1), kHeaders + 1000);
  EXPECT_EQ(layout.wire_bytes(2), kHeaders + 500);
}

TEST(TunFrame, ExactMultipleHasNoEmptySegment) {
  const FrameLayout layout = layout_of(tcp_frame(3000, kSegmentBytes));
  EXPECT_EQ(layout.segments, 3U);
  EXPECT_EQ(layout.wire_bytes(2), kHeaders + 1000);
}

// What is too short for what its header claims is taken as a packet that nobody segments.
TEST(TunFrame, TruncatedFramesAreOneSegment) {
  const Bytes frame = tcp_frame(2500, kSegmentBytes);
  for (size_t size = 0; size <= kVnetHeaderBytes + kHeaders; ++size) {
    EXPECT_EQ(layout_of(ByteSpan(frame).first(size)).segments, 1U) << size;
  }
}

TEST(TunFrame, PiecesHoldAllBytesOnce) {
  const Bytes frame = tcp_frame(3500, kSegmentBytes);
  const FrameLayout layout = layout_of(frame);
  const Bytes front = cut_segments(frame, layout, 0, 2);
  const Bytes middle = cut_segments(frame, layout, 2, 1);
  const Bytes back = cut_segments(frame, layout, 3, 1);
  Bytes joined = payload_of(front);
  for (const Bytes& piece : {middle, back}) {
    const Bytes payload = payload_of(piece);
    joined.insert(joined.end(), payload.begin(), payload.end());
  }
  EXPECT_EQ(joined, payload_of(frame));
  EXPECT_EQ(layout_of(front).segments, 2U);
  EXPECT_EQ(layout_of(middle).segments, 1U);
  EXPECT_EQ(layout_of(back).wire_bytes(0), kHeaders + 500);
}

TEST(TunFrame, PiecesHaveTheirOwnHeaders) {
  const Bytes frame = tcp_frame(2500, kSegmentBytes);
  const FrameLayout layout = layout_of(frame);
  const Bytes front = cut_segments(frame, layout, 0, 1);
  const Bytes back = cut_segments(frame, layout, 1, 2);
  EXPECT_EQ(tcp_sequence(front), tcp_sequence(frame));
  EXPECT_EQ(tcp_sequence(back), tcp_sequence(frame) + 1000);
  EXPECT_EQ(tcp_flags(front), tcp_flags(frame) & ~(kTcpFin | kTcpPush));
  EXPECT_EQ(tcp_flags(back), tcp_flags(frame) & ~kTcpCwr);
  for (const Bytes& piece : {front, back}) {
    EXPECT_EQ(ip_packet_bytes(piece), piece.size() - kVnetHeaderBytes);
    EXPECT_TRUE(ip_checksum_holds(piece));
  }
}

TEST(TunFrame, CutOfAllIsTheSameFrame) {
  const Bytes frame = tcp_frame(2500, kSegmentBytes);
  EXPECT_EQ(cut_segments(frame, layout_of(frame), 0, 3), frame);
}

}  // namespace
}  // namespace cpaway::testing
