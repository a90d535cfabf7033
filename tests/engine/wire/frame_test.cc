#include "engine/wire/frame.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/wire/pack.h"

namespace cpaway::testing {
namespace {

using namespace wire;

// Feeds `bytes` in pieces of `step`; the frames found, or the error.
Result<std::vector<Incoming>> read_all(ByteSpan bytes, size_t step) {
  FrameReader reader;
  std::vector<Incoming> frames;
  while (!bytes.empty()) {
    const auto space = reader.space();
    const size_t size = std::min({step, space.size(), bytes.size()});
    std::copy_n(bytes.begin(), size, space.begin());
    reader.filled(size);
    bytes = bytes.subspan(size);
    for (;;) {
      CPAWAY_ASSIGN(auto frame, reader.next());
      if (!frame) {
        break;
      }
      frames.push_back(std::move(*frame));
    }
  }
  return frames;
}

Bytes header(uint32_t size, uint8_t op) {
  Bytes bytes(kFrameHeaderSize);
  store_be(bytes.data(), size);
  bytes[4] = op;
  return bytes;
}

TEST(FrameReader, CutsFramesAtAnyBoundary) {
  Bytes stream = pack(1, Ping{}).head;
  const Frame second = pack(2, Unlink{"f"});
  stream.insert(stream.end(), second.head.begin(), second.head.end());
  for (size_t step = 1; step <= stream.size(); ++step) {
    const auto frames = read_all(stream, step);
    ASSERT_TRUE(frames);
    ASSERT_EQ(frames->size(), 2U);
    EXPECT_EQ((*frames)[0].id, 1U);
    EXPECT_EQ((*frames)[1].op, Op::unlink);
    EXPECT_EQ(unpack<Unlink>((*frames)[1].body())->path, "f");
  }
}

TEST(FrameReader, RefusesWhatIsNoFrame) {
  const auto refused = [](const Bytes& bytes) {
    const auto frames = read_all(bytes, bytes.size());
    return !frames && frames.error().code == Errc::protocol;
  };
  EXPECT_TRUE(refused(header(kMaxPayload + 1, 0x02)));  // too large
  EXPECT_TRUE(refused(header(0xffffffff, 0x02)));
  EXPECT_TRUE(refused(header(3, 0x02)));  // no room for an id
  EXPECT_TRUE(refused(header(4, 0x00)));  // no operation
  EXPECT_TRUE(refused(header(4, 0xff)));
  EXPECT_FALSE(refused(header(kMaxPayload, 0x02)));
}

}  // namespace
}  // namespace cpaway::testing
