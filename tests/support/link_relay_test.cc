#include "tests/support/link_relay.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "engine/base/fd.h"
#include "tests/support/link_control.h"
#include "tests/support/tun_frame.h"
#include "tests/support/tun_packets.h"

namespace cpaway::testing {
namespace {

constexpr int64_t kMs = 1'000'000;

LinkShape shape_of(std::vector<std::pair<std::string, std::string>> words) {
  LinkShape shape;
  for (const auto& [key, value] : words) {
    EXPECT_TRUE(set_shape(shape, key, value)) << key;
  }
  return shape;
}

// The relay between two socket pairs, at a time that the test sets.
class LinkRelayTest : public ::testing::Test {
 protected:
  void open(const LinkShape& shape, uint64_t seed = 1) {
    open_pair(near_, relay_near_);
    open_pair(far_, relay_far_);
    relay_ = std::make_unique<LinkRelay>(relay_near_.get(), relay_far_.get(), shape, seed);
  }

  void send(const UniqueFd& end, const Bytes& frame) {
    ASSERT_EQ(::write(end.get(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
    relay_->pump(now_ns_);
  }

  // All frames that have arrived by now.
  std::vector<Bytes> receive(const UniqueFd& end, int64_t at_ns) {
    now_ns_ = at_ns;
    relay_->pump(now_ns_);
    std::vector<Bytes> frames;
    Bytes buffer(kMaxFrameBytes);
    ssize_t count = 0;
    while ((count = ::read(end.get(), buffer.data(), buffer.size())) > 0) {
      frames.emplace_back(buffer.begin(), buffer.begin() + count);
    }
    return frames;
  }

  [[nodiscard]] size_t arrived(int64_t at_ns) { return receive(far_, at_ns).size(); }

  LinkRelay& relay() { return *relay_; }

  UniqueFd near_;
  UniqueFd far_;
  int64_t now_ns_ = 0;

 private:
  static void open_pair(UniqueFd& end, UniqueFd& relay_end) {
    std::array<int, 2> fds;
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()),
              0);
    end.reset(fds[0]);
    relay_end.reset(fds[1]);
  }

  UniqueFd relay_near_;
  UniqueFd relay_far_;
  std::unique_ptr<LinkRelay> relay_;
};

TEST_F(LinkRelayTest, DelaysBothWays) {
  open(shape_of({{"delay", "10"}}));
  send(near_, plain_frame(100, 7));
  EXPECT_EQ(relay().next_due_ns(), 10 * kMs);
  EXPECT_EQ(arrived(10 * kMs - 1), 0U);
  const auto up = receive(far_, 10 * kMs);
  ASSERT_EQ(up.size(), 1U);
  EXPECT_EQ(up[0], plain_frame(100, 7));
  send(far_, plain_frame(60, 8));
  EXPECT_EQ(receive(near_, 20 * kMs - 1).size(), 0U);
  EXPECT_EQ(receive(near_, 20 * kMs).size(), 1U);
  EXPECT_EQ(relay().next_due_ns(), std::nullopt);
}

// 1250 bytes take 10 ms at 1 Mbit/s, and wait for each other.
TEST_F(LinkRelayTest, RateIsKept) {
  open(shape_of({{"rate", "1M"}, {"delay", "5"}}));
  for (uint32_t i = 0; i < 3; ++i) {
    send(near_, plain_frame(1250, i));
  }
  EXPECT_EQ(arrived(15 * kMs - 1), 0U);
  EXPECT_EQ(arrived(15 * kMs), 1U);
  EXPECT_EQ(arrived(25 * kMs - 1), 0U);
  EXPECT_EQ(arrived(25 * kMs), 1U);
  EXPECT_EQ(arrived(35 * kMs), 1U);
  now_ns_ = 100 * kMs;  // an idle wire saves nothing up
  send(near_, plain_frame(1250, 9));
  EXPECT_EQ(arrived(115 * kMs - 1), 0U);
  EXPECT_EQ(arrived(115 * kMs), 1U);
}

TEST_F(LinkRelayTest, OrderIsKeptWhenTheDelayShrinks) {
  open(shape_of({{"delay", "50"}}));
  send(near_, plain_frame(100, 1));
  relay().set_shape(shape_of({{"delay", "1"}}));
  send(near_, plain_frame(100, 2));
  EXPECT_EQ(arrived(50 * kMs - 1), 0U);
  const auto frames = receive(far_, 50 * kMs);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(mark_of(frames[0]), 1U);
  EXPECT_EQ(mark_of(frames[1]), 2U);
}

TEST_F(LinkRelayTest, FullQueueDropsTheLast) {
  open(shape_of({{"rate", "1M"}, {"queue", "3000"}}));
  for (uint32_t i = 0; i < 5; ++i) {
    send(near_, plain_frame(1000, i));
  }
  const auto frames = receive(far_, 1000 * kMs);
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(mark_of(frames[2]), 2U);
  EXPECT_EQ(relay().stats().up.dropped, 2U);
  EXPECT_EQ(relay().stats().up.packets, 3U);
  EXPECT_EQ(relay().stats().up.bytes, 3000U);
}

TEST_F(LinkRelayTest, QueueHoldsTheBandwidthDelayProductUnlessSaid) {
  EXPECT_EQ(shape_of({{"rate", "1000M"}, {"delay", "10"}}).effective_queue_bytes(), 2'650'000U);
  EXPECT_EQ(shape_of({{"rate", "1M"}}).effective_queue_bytes(), 150'000U);
  EXPECT_EQ(shape_of({{"rate", "1M"}, {"queue", "64K"}}).effective_queue_bytes(), 65'536U);
}

TEST_F(LinkRelayTest, LossFollowsItsSeed) {
  const auto survivors = [this](uint64_t seed) {
    open(shape_of({{"loss", "0.1"}}), seed);
    std::vector<uint32_t> marks;
    for (uint32_t i = 0; i < 2000; ++i) {
      send(near_, plain_frame(100, i));
      for (const Bytes& frame : receive(far_, now_ns_)) {
        marks.push_back(mark_of(frame));
      }
    }
    return marks;
  };
  const auto first = survivors(1);
  EXPECT_EQ(relay().stats().up.dropped, 2000 - first.size());
  EXPECT_EQ(relay().stats().up.packets, 2000U) << "lost packets were on the wire";
  EXPECT_NEAR(static_cast<double>(first.size()), 1800, 60);
  EXPECT_EQ(survivors(1), first);
  EXPECT_NE(survivors(2), first);
}

// On a slow link, a packet that the kernel left whole arrives segment by segment.
TEST_F(LinkRelayTest, SuperPacketsAreSpreadOverTheWiresTime) {
  open(shape_of({{"rate", "8M"}}));
  send(near_, tcp_frame(3 * 948, 948));  // 1000 bytes each with headers: 1 ms
  EXPECT_EQ(arrived(1 * kMs - 1), 0U);
  EXPECT_EQ(arrived(1 * kMs), 1U);
  EXPECT_EQ(arrived(2 * kMs), 1U);
  EXPECT_EQ(arrived(3 * kMs), 1U);
  EXPECT_EQ(relay().stats().up.bytes, 3000U);
  EXPECT_EQ(relay().stats().up.packets, 3U);
}

TEST_F(LinkRelayTest, SuperPacketsStayWholeOnAFastLink) {
  open(shape_of({{"rate", "1000M"}}));
  const Bytes frame = tcp_frame(40 * 1448, 1448);
  send(near_, frame);
  EXPECT_EQ(arrived(40 * 12'000 - 1), 0U);
  EXPECT_EQ(receive(far_, 40 * 12'000), std::vector<Bytes>{frame});
  EXPECT_EQ(relay().stats().up.bytes, 40U * 1500);
}

TEST_F(LinkRelayTest, SegmentsOfASuperPacketAreLostSingly) {
  open(shape_of({{"loss", "0.2"}}));
  const Bytes frame = tcp_frame(40 * 1448, 1448);
  size_t segments = 0;
  for (int i = 0; i < 50; ++i) {
    send(near_, frame);
    for (const Bytes& piece : receive(far_, now_ns_)) {
      segments += layout_of(piece).segments;
    }
  }
  EXPECT_NEAR(static_cast<double>(segments), 1600, 80);
  EXPECT_EQ(relay().stats().up.dropped, 2000 - segments);
}

TEST_F(LinkRelayTest, SegmentsForWhichTheQueueHasNoRoomAreDropped) {
  open(shape_of({{"rate", "8M"}, {"queue", "3500"}}));
  send(near_, tcp_frame(5 * 948, 948));
  EXPECT_EQ(arrived(100 * kMs), 3U);
  EXPECT_EQ(relay().stats().up.dropped, 2U);
}

TEST_F(LinkRelayTest, OutageLosesAllUntilItEnds) {
  open(shape_of({{"delay", "10"}}));
  send(near_, plain_frame(100, 1));
  relay().set_outage(true);
  send(near_, plain_frame(100, 2));
  send(far_, plain_frame(100, 3));
  EXPECT_EQ(arrived(100 * kMs), 0U);
  EXPECT_EQ(receive(near_, 100 * kMs).size(), 0U);
  EXPECT_EQ(relay().stats().up.dropped, 2U);
  EXPECT_EQ(relay().stats().down.dropped, 1U);
  relay().set_outage(false);
  send(near_, plain_frame(100, 4));
  EXPECT_EQ(arrived(110 * kMs), 1U);
}

TEST_F(LinkRelayTest, CountsEachWay) {
  open({});
  send(near_, plain_frame(1000, 1));
  send(near_, plain_frame(500, 2));
  send(far_, plain_frame(40, 3));
  EXPECT_EQ(relay().stats().up.bytes, 1500U);
  EXPECT_EQ(relay().stats().up.packets, 2U);
  EXPECT_EQ(relay().stats().down.bytes, 40U);
  EXPECT_EQ(relay().stats().down.dropped, 0U);
  relay().reset_stats();
  EXPECT_EQ(relay().stats().up.bytes, 0U);
  EXPECT_EQ(relay().stats().down.packets, 0U);
}

TEST_F(LinkRelayTest, ReceiverWithoutRoomDropsAndNothingBlocks) {
  open({});
  for (uint32_t i = 0; i < 1000; ++i) {
    send(near_, plain_frame(60'000, i));
  }
  EXPECT_GT(relay().stats().up.dropped, 0U);
  EXPECT_EQ(relay().stats().up.dropped + arrived(0), 1000U);
}

TEST(LinkShape, RefusesWhatIsNone) {
  LinkShape shape;
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"rate", ""},
                                                        {"rate", "M"},
                                                        {"rate", "fast"},
                                                        {"rate", "-1"},
                                                        {"rate", "1e300"},
                                                        {"delay", "1x"},
                                                        {"loss", "1.5"},
                                                        {"loss", "nan"},
                                                        {"queue", "1Q"},
                                                        {"speed", "1"}}) {
    EXPECT_FALSE(set_shape(shape, key, value)) << key << "=" << value;
  }
}

TEST_F(LinkRelayTest, CommandsAreAnsweredLineByLine) {
  open({});
  LinkControl control(relay());
  send(near_, plain_frame(1000, 1));
  EXPECT_EQ(control.take("sta"), "");
  EXPECT_EQ(control.take("ts\nset rate=8M delay=2\n"),
            R"({"up":{"bytes":1000,"packets":1,"dropped":0},)"
            R"("down":{"bytes":0,"packets":0,"dropped":0}})"
            "\n{}\n");
  EXPECT_EQ(relay().shape().bits_per_s, 8'000'000U);
  EXPECT_EQ(relay().shape().delay_ns, 2 * kMs);
  EXPECT_EQ(control.take("reset\n"), "{}\n");
  EXPECT_EQ(relay().stats().up.bytes, 0U);
  EXPECT_EQ(control.take("outage on\n"), "{}\n");
  EXPECT_FALSE(control.quit());
  EXPECT_EQ(control.take("quit\nstats\n"), "{}\n");
  EXPECT_TRUE(control.quit());
}

TEST_F(LinkRelayTest, WrongCommandsChangeNothing) {
  open({});
  LinkControl control(relay());
  for (const std::string line :
       {"", "stat", "set rate", "set =", "set delay=3 rate=x", "outage", "set  delay=3  x=\"1\""}) {
    EXPECT_TRUE(control.take(line + "\n").starts_with("{\"error\":\"")) << line;
  }
  EXPECT_EQ(relay().shape().delay_ns, 0);
  EXPECT_EQ(control.take(std::string(100'000, 'x')), "");
  EXPECT_EQ(control.take("\nreset\n").substr(0, 9), "{\"error\":");
}

}  // namespace
}  // namespace cpaway::testing
