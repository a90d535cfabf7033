#include "engine/delta/chunk_codec.h"

#include <gtest/gtest.h>

#include "engine/hash/digest.h"
#include "tests/engine/delta/content.h"

namespace cpaway::testing {
namespace {

using delta::decode_chunk_list;
using delta::decode_chunks;
using delta::encode_chunks;
using hash::Chunk;
using hash::ChunkList;

Bytes encode(const ChunkList& chunks) {
  Bytes out;
  encode_chunks(chunks, out);
  return out;
}

// An entry with these bytes for its size and an id of sixteen bytes 0xaa.
Bytes entry(Bytes size_bytes) {
  size_bytes.insert(size_bytes.end(), sizeof(hash::BlockHash), 0xaa);
  return size_bytes;
}

Errc error_of(ByteSpan in, size_t max_chunks = 100) {
  const auto chunks = decode_chunk_list(in, max_chunks);
  return chunks ? Errc{} : chunks.error().code;
}

hash::BlockHash numbered_id() {
  hash::BlockHash id{};
  for (size_t i = 0; i < id.size(); ++i) {
    id[i] = static_cast<uint8_t>(i);
  }
  return id;
}

TEST(ChunkCodec, GoldenBytes) {
  const hash::BlockHash id = numbered_id();
  const std::string id_hex = "000102030405060708090a0b0c0d0e0f";
  EXPECT_EQ(hash::to_hex(encode({{id, 1}})), "01" + id_hex);
  EXPECT_EQ(hash::to_hex(encode({{id, 127}, {id, 128}})), "7f" + id_hex + "8001" + id_hex);
  EXPECT_EQ(hash::to_hex(encode({{id, 8192}})), "8040" + id_hex);
  EXPECT_EQ(hash::to_hex(encode({{id, 16383}})), "ff7f" + id_hex);
  EXPECT_EQ(hash::to_hex(encode({{id, 16384}})), "808001" + id_hex);
  EXPECT_EQ(hash::to_hex(encode({{id, hash::kMaxChunkSize}})), "808040" + id_hex);
  EXPECT_TRUE(encode({}).empty());
}

TEST(ChunkCodec, RoundTrips) {
  Random random(1);
  ChunkList chunks;
  for (unsigned bits = 0; bits <= 20; ++bits) {
    for (const uint32_t size : {(1U << bits) - 1, 1U << bits}) {
      if (size > 0) {
        chunks.push_back({hash::block_hash(random_bytes(8, random())), size});
      }
    }
  }
  const auto again = decode_chunk_list(encode(chunks), chunks.size());
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, chunks);
  EXPECT_TRUE(decode_chunk_list({}, 0)->empty());
}

TEST(ChunkCodec, IncompleteIsNotMalformed) {
  const ChunkList chunks = {{numbered_id(), 100}, {numbered_id(), 70'000}};
  const Bytes bytes = encode(chunks);
  for (size_t size = 0; size <= bytes.size(); ++size) {
    ChunkList read;
    const auto done = decode_chunks(ByteSpan(bytes).first(size), 100, read);
    ASSERT_TRUE(done) << size;
    EXPECT_EQ(*done, size < 17 ? 0U : size < bytes.size() ? 17U : bytes.size()) << size;
    EXPECT_EQ(encode(read), Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(*done)));
    if (size != 0 && size != 17 && size != bytes.size()) {
      EXPECT_EQ(error_of(ByteSpan(bytes).first(size)), Errc::protocol) << size;
    }
  }
}

TEST(ChunkCodec, RefusesSizesThatAreNone) {
  EXPECT_EQ(error_of(entry({0x7f})), Errc{});
  EXPECT_EQ(error_of(entry({0x00})), Errc::protocol);
  EXPECT_EQ(error_of(entry({0x80, 0x00})), Errc::protocol);        // longer than need be
  EXPECT_EQ(error_of(entry({0xff, 0x80, 0x00})), Errc::protocol);  // so is this
  EXPECT_EQ(error_of(entry({0x81, 0x80, 0x40})), Errc::protocol);  // 2^20 + 1
  EXPECT_EQ(error_of(entry({0xff, 0xff, 0x7f})), Errc::protocol);
  EXPECT_EQ(error_of(entry({0x80, 0x80, 0x80, 0x01})), Errc::protocol);
  ChunkList chunks;
  EXPECT_FALSE(decode_chunks(Bytes{0x80, 0x80, 0x80}, 1, chunks));  // known without the rest
}

TEST(ChunkCodec, StopsAtTheLimit) {
  const Bytes bytes = encode(ChunkList(5, {numbered_id(), 1}));
  EXPECT_EQ(error_of(bytes, 5), Errc{});
  EXPECT_EQ(error_of(bytes, 4), Errc::limit);
  ChunkList chunks;
  EXPECT_EQ(decode_chunks(bytes, 2, chunks), 34U);
  EXPECT_EQ(decode_chunks(ByteSpan(bytes).subspan(34), 2, chunks), 0U);  // full already
  EXPECT_EQ(chunks.size(), 2U);
}

TEST(ChunkCodec, SurvivesAnyBytes) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Bytes bytes = random_bytes(seed % 90, seed);
    for (size_t at = 0; at < bytes.size(); at += 17) {
      bytes[at] &= 0x8f;
    }
    ChunkList chunks;
    if (const auto done = decode_chunks(bytes, 100, chunks)) {
      EXPECT_LE(*done, bytes.size());
      bytes.resize(*done);
      EXPECT_EQ(encode(chunks), bytes) << seed;  // one form only
    }
  }
}

}  // namespace
}  // namespace cpaway::testing
