#include "cache/schema.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/cache/known_files.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;
using cpaway::testing::make_chunks;

FileEntry make_entry() {
  FileEntry entry;
  entry.key = cpaway::testing::make_version(77, 100).file.key;
  entry.use = 300;
  entry.list = 5;
  entry.chunk_count = 100;
  entry.sha256[0] = 9;
  entry.path = "a/b";
  return entry;
}

std::vector<Bytes> segments_of(const hash::ChunkList& chunks) {
  std::vector<Bytes> segments;
  EXPECT_TRUE(encode_list(chunks, [&segments](const Bytes& value) {
    segments.push_back(value);
    return Status();
  }));
  return segments;
}

TEST(Schema, FileKeysAreShortAndUnique) {
  EXPECT_EQ(file_key(0xfd01, 77), (Bytes{0x21, 0xfd, 0x01, 77}));
  EXPECT_EQ(file_key(0, 0), Bytes{0});
  EXPECT_NE(file_key(1, 0x0203), file_key(0x0102, 3));
  for (const uint64_t number : {uint64_t{0}, uint64_t{255}, uint64_t{256}, UINT64_MAX}) {
    const auto id = decode_file_key(file_key(number, ~number));
    ASSERT_TRUE(id);
    EXPECT_EQ(id->dev, number);
    EXPECT_EQ(id->ino, ~number);
  }
  EXPECT_FALSE(decode_file_key({}));
  EXPECT_FALSE(decode_file_key(Bytes{0x11, 1}));
  EXPECT_FALSE(decode_file_key(Bytes{0x90, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST(Schema, NumberAndSegmentKeysSort) {
  EXPECT_LT(number_key(255), number_key(256));
  EXPECT_LT(segment_key(1, UINT32_MAX), segment_key(2, 0));
  EXPECT_EQ(decode_number_key(number_key(7)), 7U);
  EXPECT_EQ(decode_segment_owner(segment_key(7, 1)), 7U);
  EXPECT_FALSE(decode_number_key(segment_key(7, 1)));
  EXPECT_FALSE(decode_segment_owner(number_key(7)));
}

TEST(Schema, IndexKeysHoldTheFile) {
  const Bytes file = file_key(1, 2);
  const Bytes key = index_key(99, file);
  const auto found = decode_index_file(key, 99);
  ASSERT_TRUE(found);
  EXPECT_EQ(Bytes(found->begin(), found->end()), file);
  EXPECT_FALSE(decode_index_file(key, 98));
  EXPECT_FALSE(decode_index_file(number_key(99), 99));
}

TEST(Schema, FilesComeBack) {
  FileEntry entry = make_entry();
  const Bytes key = file_key(entry.key);
  auto back = decode_file(key, encode_file(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->key, entry.key);
  EXPECT_EQ(back->use, entry.use);
  EXPECT_EQ(back->list, entry.list);
  EXPECT_EQ(back->chunk_count, entry.chunk_count);
  EXPECT_EQ(back->sha256, entry.sha256);
  EXPECT_EQ(back->path, entry.path);

  entry.list = 0;
  entry.sha256 = {};
  entry.samples = {1, UINT64_MAX};
  entry.key.mtime_s = INT64_MIN;
  entry.key.ctime_s = INT64_MAX;
  back = decode_file(key, encode_file(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->samples, entry.samples);
  EXPECT_EQ(back->sha256, hash::Sha256Value{});
  EXPECT_EQ(back->key, entry.key);
}

TEST(Schema, FilesOutOfBoundsAreRefused) {
  FileEntry entry = make_entry();
  const Bytes key = file_key(entry.key);
  EXPECT_FALSE(decode_file(Bytes{0x99}, encode_file(entry)));
  entry.chunk_count = kMaxListChunks + 1;
  EXPECT_FALSE(decode_file(key, encode_file(entry)));
  entry = make_entry();
  entry.path.assign(kMaxPathSize + 1, 'x');
  EXPECT_FALSE(decode_file(key, encode_file(entry)));
  entry = make_entry();
  entry.list = 0;
  entry.samples.resize(kMinListChunks + 1);
  EXPECT_FALSE(decode_file(key, encode_file(entry)));
}

TEST(Schema, ListsOfAnyLengthComeBack) {
  for (const size_t count : {1U, 48U, 160U, 170U, 224U, 225U, 1000U, 5000U}) {
    const auto chunks = make_chunks(count, count);
    const auto segments = segments_of(chunks);
    hash::ChunkList back;
    for (const Bytes& segment : segments) {
      EXPECT_LE(segment.size(), 4080U);
      EXPECT_TRUE(segment.size() <= 488 || segment.size() > 2928) << segment.size();
      ASSERT_TRUE(decode_segment(segment, count, back));
    }
    EXPECT_EQ(back, chunks);
    EXPECT_LE(segments.size(), list_size(chunks) / 4000 + 8);
  }
  EXPECT_TRUE(segments_of({}).empty());
}

TEST(Schema, ListsOutOfBoundsAreRefused) {
  hash::ChunkList back;
  EXPECT_FALSE(decode_segment(segments_of(make_chunks(1, 10))[0], 9, back));
  for (const uint64_t size : {uint64_t{0}, uint64_t{hash::kMaxChunkSize} + 1}) {
    RecordWriter out;
    out.varint(size);
    out.raw(hash::BlockHash{});
    EXPECT_FALSE(decode_segment(out.finish(), 9, back));
  }
  RecordWriter out;
  out.varint(5);
  out.raw(as_bytes("short"));
  EXPECT_FALSE(decode_segment(out.finish(), 9, back));
}

TEST(Schema, SamplesAreSortedAndOneInSixteen) {
  auto chunks = make_chunks(1, 16000);
  const auto samples = samples_of(chunks);
  EXPECT_NEAR(static_cast<double>(samples.size()), 1000.0, 150.0);
  EXPECT_TRUE(std::is_sorted(samples.begin(), samples.end()));
  EXPECT_EQ(samples, samples_of(cpaway::testing::ids_of(chunks)));
  chunks.insert(chunks.end(), chunks.begin(), chunks.end());
  EXPECT_EQ(samples, samples_of(chunks));
}

TEST(Schema, CheckpointsAndBlocksComeBack) {
  const CheckpointEntry entry = {UINT64_MAX, 7, 900, -5, ".staging", "dir/target"};
  const auto back = decode_checkpoint(encode_checkpoint(entry));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->serial, entry.serial);
  EXPECT_EQ(back->segments, entry.segments);
  EXPECT_EQ(back->block_count, entry.block_count);
  EXPECT_EQ(back->changed_s, entry.changed_s);
  EXPECT_EQ(back->staging_name, entry.staging_name);
  EXPECT_EQ(back->path, entry.path);

  const std::vector<upload::AcknowledgedBlock> blocks = {make_block(0, 1),
                                                         make_block(1, 1U << 20U)};
  std::vector<upload::AcknowledgedBlock> blocks_back;
  ASSERT_TRUE(decode_blocks(encode_blocks(blocks), 2, blocks_back));
  ASSERT_EQ(blocks_back.size(), 2U);
  EXPECT_EQ(blocks_back[1].offset, 1U);
  EXPECT_EQ(blocks_back[1].block, blocks[1].block);
  EXPECT_FALSE(decode_blocks(encode_blocks(blocks), 3, blocks_back));  // two are there already
  const std::vector<upload::AcknowledgedBlock> wrapping = {make_block(UINT64_MAX, 2)};
  EXPECT_FALSE(decode_blocks(encode_blocks(wrapping), 9, blocks_back));
}

TEST(Schema, TransfersComeBack) {
  upload::TransferRecord record;
  record.path = "p";
  record.state = "failed";
  record.error = "why";
  record.size = 1;
  record.bytes_written = 2;
  record.bytes_sent = 3;
  record.bytes_matched = 4;
  record.bytes_resumed = 5;
  record.started_ms = 6;
  record.ended_ms = 7;
  for (const bool with_digest : {false, true}) {
    record.sha256 = with_digest ? std::optional(hash::Sha256Value{1, 2, 3}) : std::nullopt;
    const auto back = decode_transfer(encode_transfer(record));
    ASSERT_TRUE(back);
    EXPECT_EQ(encode_transfer(*back), encode_transfer(record));
    EXPECT_EQ(back->sha256, record.sha256);
    EXPECT_EQ(back->bytes_resumed, 5U);
  }
}

TEST(Schema, NumbersAndVersionsComeBack) {
  EXPECT_EQ(decode_number(encode_number(12345)), 12345U);
  EXPECT_EQ(decode_schema(encode_schema(kSchemaVersion)), kSchemaVersion);
  EXPECT_FALSE(decode_schema(Bytes(8)));
}

TEST(Schema, InodeNumbers) {
  const NumberEntry entry{-5, 999'999'999, S_IFSOCK, UINT64_MAX};
  Bytes value = encode_inode_number(entry);
  const auto decoded = decode_inode_number(value);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->is_of({1, 2, -5, 999'999'999, S_IFSOCK}));
  EXPECT_EQ(decoded->number, UINT64_MAX);
  value.back() ^= 1U;
  EXPECT_FALSE(decode_inode_number(value));
  EXPECT_FALSE(decode_inode_number({}));
}

}  // namespace
}  // namespace cpaway::cache
