// Random bytes and damaged frames: the readers may refuse them, and do nothing else.
#include <gtest/gtest.h>

#include <random>

#include "engine/base/strings.h"
#include "tests/engine/wire/samples.h"
#include "tests/support/random_bytes.h"

namespace cpaway::testing {
namespace {

// Opens every frame in `bytes` with each way of opening that there is.
void open_everything(ByteSpan bytes, const std::vector<Sample>& samples) {
  wire::FrameReader reader;
  while (!bytes.empty()) {
    const auto space = reader.space();
    const size_t size = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), size, space.begin());
    reader.filled(size);
    bytes = bytes.subspan(size);
    auto frame = reader.next();
    if (!frame) {
      EXPECT_EQ(frame.error().code, Errc::protocol);
      return;
    }
    if (!*frame) {
      continue;
    }
    for (const Sample& sample : samples) {
      const auto again = sample.repack(**frame);
      EXPECT_TRUE(again || !again.error().to_string().empty());
    }
  }
}

Bytes damaged(const Bytes& frame, std::mt19937& random) {
  Bytes bytes = frame;
  const int changes = 1 + static_cast<int>(random() % 4);
  for (int i = 0; i < changes; ++i) {
    const size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0:
        bytes[at] = static_cast<uint8_t>(random());
        break;
      case 1:
        bytes[at] ^= static_cast<uint8_t>(1U << (random() % 8));
        break;
      case 2:
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), static_cast<uint8_t>(random()));
        break;
      default:
        if (bytes.size() > wire::kFrameHeaderSize + 4) {
          bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at));
        }
    }
  }
  // The frame's size right, most of the time, so that the damage reaches the fields.
  if (random() % 8 != 0) {
    store_be(bytes.data(), static_cast<uint32_t>(bytes.size() - wire::kFrameHeaderSize));
  }
  return bytes;
}

TEST(Hostile, DamagedFrames) {
  const unsigned seed = testing::random_seed();
  SCOPED_TRACE(concat("seed ", seed));
  std::mt19937 random(seed);
  const auto samples = all_samples();
  for (int round = 0; round < 40; ++round) {
    for (const Sample& sample : samples) {
      open_everything(damaged(sample.frame, random), samples);
    }
  }
}

TEST(Hostile, RandomBytes) {
  const unsigned seed = testing::random_seed();
  SCOPED_TRACE(concat("seed ", seed));
  std::mt19937 random(seed);
  const auto samples = all_samples();
  for (int round = 0; round < 2000; ++round) {
    Bytes bytes(random() % 200);
    for (uint8_t& byte : bytes) {
      byte = static_cast<uint8_t>(random());
    }
    if (bytes.size() > 5) {
      store_be(bytes.data(), static_cast<uint32_t>(bytes.size() - wire::kFrameHeaderSize));
      bytes[4] = samples[random() % samples.size()].frame[4];
    }
    open_everything(bytes, samples);
  }
}

TEST(Hostile, EveryCutOfEveryMessage) {
  const auto samples = all_samples();
  for (const Sample& sample : samples) {
    for (size_t size = wire::kFrameHeaderSize + 4; size < sample.frame.size(); ++size) {
      Bytes bytes(sample.frame.begin(), sample.frame.begin() + static_cast<ptrdiff_t>(size));
      store_be(bytes.data(), static_cast<uint32_t>(size - wire::kFrameHeaderSize));
      open_everything(bytes, samples);
    }
  }
}

}  // namespace
}  // namespace cpaway::testing
