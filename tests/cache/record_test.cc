#include "cache/record.h"

#include <gtest/gtest.h>

namespace cpaway::cache {
namespace {

TEST(Record, KeepsEveryFieldAtItsEnds) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{127}, uint64_t{128}, UINT64_MAX >> 1U, UINT64_MAX}) {
    RecordWriter out;
    out.varint(value);
    EXPECT_EQ(out.size(), kCheckSize + varint_size(value));
    out.zigzag(static_cast<int64_t>(value));
    out.zigzag(INT64_MIN);
    out.u8(200);
    out.u32(UINT32_MAX);
    out.u64(value);
    out.text("text");
    out.raw(as_bytes("tail"));
    const Bytes bytes = out.finish();
    RecordReader in(bytes);
    EXPECT_EQ(in.varint(), value);
    EXPECT_EQ(in.zigzag(), static_cast<int64_t>(value));
    EXPECT_EQ(in.zigzag(), INT64_MIN);
    EXPECT_EQ(in.u8(), 200);
    EXPECT_EQ(in.u32(), UINT32_MAX);
    EXPECT_EQ(in.u64(), value);
    EXPECT_EQ(in.text(4), "text");
    EXPECT_EQ(in.tail(4), "tail");
    EXPECT_TRUE(in.complete());
  }
}

TEST(Record, RefusesAnyFlippedBit) {
  RecordWriter out;
  out.text("some value");
  const Bytes good = out.finish();
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    EXPECT_TRUE(RecordReader(bad).failed());
  }
  EXPECT_TRUE(RecordReader(ByteSpan()).failed());
}

TEST(Record, BoundsWhatItReads) {
  RecordWriter out;
  out.text("too long");
  const Bytes bytes = out.finish();
  RecordReader text(bytes);
  EXPECT_EQ(text.text(7), "");
  EXPECT_TRUE(text.failed());
  RecordReader tail(bytes);
  EXPECT_EQ(tail.tail(8), "");
  EXPECT_TRUE(tail.failed());
  RecordReader raw(bytes);
  EXPECT_TRUE(raw.raw(10).empty());
  EXPECT_EQ(raw.u64(), 0U);
  EXPECT_TRUE(raw.failed());
}

TEST(Record, RefusesVarintsBeyond64Bits) {
  for (const uint8_t last : {uint8_t{0x02}, uint8_t{0x80}}) {
    RecordWriter out;
    for (int i = 0; i < 9; ++i) {
      out.u8(0xff);
    }
    out.u8(last);
    out.u8(0);
    const Bytes bytes = out.finish();
    RecordReader in(bytes);
    EXPECT_EQ(in.varint(), 0U);
    EXPECT_TRUE(in.failed());
  }
}

}  // namespace
}  // namespace cpaway::cache
