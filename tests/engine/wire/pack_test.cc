#include "engine/wire/pack.h"

#include <gtest/gtest.h>

namespace cpaway::testing {
namespace {

using namespace wire;

ByteSpan body_of(const Frame& frame) {
  return ByteSpan(frame.head).subspan(kFrameHeaderSize + sizeof(uint32_t));
}

TEST(Pack, CountsTheBulkIntoTheFrame) {
  const auto bulk = std::make_shared<const Bytes>(1000);
  const Frame frame = pack(9, Block{1, 2, {}}, bulk);
  EXPECT_EQ(load_be<uint32_t>(frame.head.data()), frame.size() - kFrameHeaderSize);
  EXPECT_EQ(frame.head[4], static_cast<uint8_t>(Op::block));
  EXPECT_EQ(load_be<uint32_t>(frame.head.data() + 5), 9U);
}

TEST(Pack, LetsNothingFollowAMessageWithoutBulk) {
  Bytes body;
  Encoder encoder(body);
  encoder(std::string("f"), uint8_t{0});
  EXPECT_EQ(unpack<Unlink>(body).error().code, Errc::protocol);
  ByteSpan bulk;
  EXPECT_TRUE(unpack<Unlink>(body, &bulk));
  EXPECT_EQ(bulk.size(), 1U);
}

TEST(Pack, LargestBlockFitsAFrame) {
  const auto bulk = std::make_shared<const Bytes>(kBlockSize);
  EXPECT_LE(pack(1, Block{}, bulk).size(), kFrameHeaderSize + kMaxPayload);
  PutFile put;
  put.placement.path = std::string(4095, 'x');
  EXPECT_LE(pack(1, put, bulk).size(), kFrameHeaderSize + kMaxPayload);
}

TEST(Pack, OpensGoodReplies) {
  const Frame frame = pack_answer(1, ReadLink::Answer{"t"});
  const auto body = open_reply(body_of(frame));
  ASSERT_TRUE(body);
  EXPECT_EQ(unpack<ReadLink::Answer>(*body)->text, "t");
}

TEST(Pack, OpensBadReplies) {
  const Frame frame = pack_error(1, make_error(Errc::verify, std::string(10000, 'x')));
  const auto body = open_reply(body_of(frame));
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, Errc::verify);
  EXPECT_EQ(body.error().context, std::string(kMaxString, 'x'));
}

TEST(Pack, RefusesMalformedReplies) {
  EXPECT_EQ(open_reply(Bytes{}).error().code, Errc::protocol);
  EXPECT_EQ(open_reply(Bytes{0}).error().code, Errc::protocol);
  EXPECT_EQ(open_reply(Bytes{0, 1, 0, 0}).error().code, Errc::protocol);
  EXPECT_EQ(open_reply(Bytes{0, 1, 0, 0, 0, 5, 0, 0, 99}).error().code, Errc::protocol);  // longer
}

}  // namespace
}  // namespace cpaway::testing
