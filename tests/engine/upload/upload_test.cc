// Uploads against the real agent, in this process.
#include "engine/upload/upload.h"

#include <sys/stat.h>

#include <random>

#include "engine/base/fault.h"
#include "engine/wire/names.h"
#include "tests/engine/upload/upload_fixture.h"

namespace cpaway::upload {
namespace {

using testing::random_bytes;
using testing::UploadTest;
using wire::kBlockSize;

TEST_F(UploadTest, SmallFileGoesAsOneMessage) {
  const Bytes data = random_bytes(1000, 1);
  const auto upload = start("small");
  write_all(*upload, data, 300);
  EXPECT_EQ(upload->size(), 1000U);
  const auto answer = commit(*upload, "small");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->sha256, hash::sha256(data));
  EXPECT_EQ(answer->attr.size, 1000U);
  EXPECT_EQ(content("small"), data);
}

TEST_F(UploadTest, EmptyFile) {
  const auto upload = start("empty");
  ASSERT_TRUE(commit(*upload, "empty"));
  EXPECT_EQ(content("empty"), Bytes{});
}

class UploadSizes : public UploadTest,
                    public ::testing::WithParamInterface<std::pair<size_t, size_t>> {};

TEST_P(UploadSizes, ArriveWhole) {
  const auto [size, piece] = GetParam();
  const Bytes data = random_bytes(size, 2);
  const auto upload = start("f");
  write_all(*upload, data, piece);
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->sha256, hash::sha256(data));
  EXPECT_EQ(content("f"), data);
  EXPECT_EQ(upload->progress().written, size);
  EXPECT_EQ(upload->progress().acknowledged, size);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, UploadSizes,
    ::testing::Values(std::pair(kBlockSize, kBlockSize), std::pair(kBlockSize - 1, kBlockSize),
                      std::pair(kBlockSize + 1, kBlockSize), std::pair(kBlockSize + 1, 4096),
                      std::pair(12 * kBlockSize, kBlockSize),
                      std::pair(5 * kBlockSize + 77, 131072), std::pair(3 * kBlockSize, 999999)));

TEST_F(UploadTest, OldVersionStaysUntilCommit) {
  std::ofstream(path("f")) << "old";
  const Bytes data = random_bytes(3 * kBlockSize, 3);
  const auto upload = start("f");
  write_all(*upload, data, kBlockSize);
  ASSERT_TRUE(
      testing::wait_until([&upload] { return upload->progress().acknowledged > kBlockSize; }));
  EXPECT_EQ(as_text(content("f")), "old");
  ASSERT_TRUE(commit(*upload, "f"));
  EXPECT_EQ(content("f"), data);
}

TEST_F(UploadTest, CancelLeavesTheOldVersion) {
  std::ofstream(path("f")) << "old";
  const auto upload = start("f");
  write_all(*upload, random_bytes(3 * kBlockSize, 4), kBlockSize);
  upload->cancel(false);
  EXPECT_TRUE(testing::wait_until([this] { return staging_files() == 0; }));
  EXPECT_EQ(as_text(content("f")), "old");
  EXPECT_FALSE(write(*upload, 0, as_bytes("x")));
  EXPECT_FALSE(commit(*upload, "f"));
}

TEST_F(UploadTest, DamagedBlocksAreSentAgain) {
  fault::points().damage_block = 3;
  const Bytes data = random_bytes(4 * kBlockSize, 5);
  const auto upload = start("f");
  write_all(*upload, data, kBlockSize);
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(content("f"), data);
  // What was damaged, about a block each, counts again.
  EXPECT_GT(upload->progress().sent, data.size() + 2 * kBlockSize);
}

TEST_F(UploadTest, DamagedSmallFileIsSentAgain) {
  fault::points().damage_block = 2;
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, as_bytes("hello")));
  ASSERT_TRUE(commit(*upload, "f"));
  EXPECT_EQ(as_text(content("f")), "hello");
}

TEST_F(UploadTest, EndlessDamageFailsAndCommitsNothing) {
  for (const size_t size : {size_t{10}, size_t{3 * kBlockSize}}) {
    std::ofstream(path("f")) << "old";
    fault::points().damage_block = -1;
    const auto upload = start("f");
    const Bytes data = random_bytes(size, 6);
    for (size_t at = 0; at < size; at += kBlockSize) {
      ignore(write(*upload, at, ByteSpan(data).subspan(at, std::min<size_t>(kBlockSize, size))),
             "may fail already");
    }
    const auto answer = commit(*upload, "f");
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::verify);
    upload->cancel(false);
    EXPECT_EQ(as_text(content("f")), "old");
  }
}

TEST_F(UploadTest, ExclusiveCommitRespectsATakenName) {
  std::ofstream(path("f")) << "theirs";
  for (const size_t size : {size_t{10}, size_t{2 * kBlockSize}}) {
    const auto upload = start("f");
    write_all(*upload, random_bytes(size, 7), kBlockSize);
    const auto answer = commit(*upload, "f", true);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().os_errno, EEXIST);
    upload->cancel(false);
    EXPECT_EQ(as_text(content("f")), "theirs");
  }
}

TEST_F(UploadTest, ErrorOfTheDirectoryComesBack) {
  const auto upload = start("missing/f");
  ASSERT_TRUE(write(*upload, 0, random_bytes(kBlockSize, 8)));
  const auto answer = commit(*upload, "missing/f");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().os_errno, ENOENT);
  EXPECT_TRUE(testing::wait_until([&upload] { return upload->failed(); }));
  EXPECT_FALSE(write(*upload, 0, as_bytes("x")));
  upload->cancel(false);
}

TEST_F(UploadTest, HolesReadAsZeros) {
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 3 * kBlockSize, as_bytes("end")));
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  Bytes expected(3 * kBlockSize, 0);
  expected.insert(expected.end(), {'e', 'n', 'd'});
  EXPECT_EQ(content("f"), expected);
  EXPECT_EQ(answer->sha256, hash::sha256(expected));
}

TEST_F(UploadTest, TruncateUpExtendsWithZeros) {
  for (const size_t size : {size_t{1000}, size_t{4 * kBlockSize}}) {
    const auto upload = start("f");
    ASSERT_TRUE(write(*upload, 0, as_bytes("abc")));
    ASSERT_TRUE(truncate(*upload, size));
    EXPECT_EQ(upload->size(), size);
    ASSERT_TRUE(commit(*upload, "f"));
    Bytes expected(size, 0);
    std::copy_n("abc", 3, expected.begin());
    EXPECT_EQ(content("f"), expected);
  }
}

TEST_F(UploadTest, WritesMayBeginAnywhereAfterATruncationToNothing) {
  const Bytes data = random_bytes(50'000, 11);
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, as_bytes("gone")));
  ASSERT_TRUE(truncate(*upload, 0));
  ASSERT_TRUE(write(*upload, 20'000, data));
  ASSERT_TRUE(commit(*upload, "f"));
  Bytes expected(20'000, 0);
  expected.insert(expected.end(), data.begin(), data.end());
  EXPECT_EQ(content("f"), expected);
}

// Everything that programs do to a file, against an array; the seed is in the failure.
TEST_F(UploadTest, RandomWritesTruncatesAndReadsMatchAnArray) {
  const uint32_t seed = testing::random_seed();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 8; ++round) {
    Bytes model;
    const auto upload = start("f");
    const size_t limit = round % 2 == 0 ? kBlockSize : 6 * kBlockSize;
    for (int step = 0; step < 30; ++step) {
      const uint64_t offset = random() % limit;
      const size_t size = 1 + random() % std::min<size_t>(kBlockSize, limit);
      switch (random() % 8) {
        case 0: {
          ASSERT_TRUE(truncate(*upload, offset));
          model.resize(offset, 0);
          break;
        }
        case 1: {
          const auto got = read(*upload, offset, static_cast<uint32_t>(size));
          ASSERT_TRUE(got);
          const size_t from = std::min<size_t>(offset, model.size());
          const size_t to = std::min<size_t>(offset + size, model.size());
          ASSERT_EQ(*got, Bytes(model.begin() + static_cast<ptrdiff_t>(from),
                                model.begin() + static_cast<ptrdiff_t>(to)));
          break;
        }
        default: {
          const uint64_t at = random() % 2 == 0 ? model.size() : offset;
          const Bytes data = random_bytes(size, static_cast<uint32_t>(random()));
          ASSERT_TRUE(write(*upload, at, data));
          model.resize(std::max<size_t>(model.size(), at + size), 0);
          std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(at));
        }
      }
      ASSERT_EQ(upload->size(), model.size());
    }
    const auto answer = commit(*upload, "f");
    ASSERT_TRUE(answer) << answer.error().to_string();
    ASSERT_EQ(answer->sha256, hash::sha256(model));
    ASSERT_EQ(content("f"), model);
  }
}

// Bytes behind what is being written over were sent before it, and are cut off with the rest.
TEST_F(UploadTest, TruncateForgetsWhatWasSentBehindAWriteOver) {
  const auto upload = start("f");
  const Bytes data = random_bytes(4 * kBlockSize, 12);
  write_all(*upload, data, kBlockSize);
  ASSERT_TRUE(write(*upload, 1000, as_bytes("over")));
  ASSERT_TRUE(truncate(*upload, 2 * kBlockSize));
  ASSERT_TRUE(write(*upload, 3 * kBlockSize, as_bytes("end")));
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  Bytes expected(data.begin(), data.begin() + static_cast<ptrdiff_t>(2 * kBlockSize));
  std::copy_n("over", 4, expected.begin() + 1000);
  expected.resize(3 * kBlockSize, 0);
  expected.insert(expected.end(), {'e', 'n', 'd'});
  EXPECT_EQ(content("f"), expected);
}

// More open files than the window has room for whole blocks: the line still moves.
TEST_F(UploadTest, UnfinishedBlocksDoNotStopTheWindow) {
  std::vector<std::shared_ptr<Upload>> uploads;
  const Bytes part = random_bytes(700 * 1024, 9);
  for (int i = 0; i < 40; ++i) {
    uploads.push_back(start("f" + std::to_string(i)));
    ASSERT_TRUE(write(*uploads.back(), 0, part));
  }
  for (size_t i = 0; i < uploads.size(); ++i) {
    const std::string name = "f" + std::to_string(i);
    ASSERT_TRUE(commit(*uploads[i], name));
    EXPECT_EQ(content(name), part);
  }
}

// What a killed copying program leaves: a staging file of two blocks or more.
void cut_an_upload(std::shared_ptr<Upload> upload) {
  UploadTest::write_all(*upload, random_bytes(3 * kBlockSize, 11), kBlockSize);
  ASSERT_TRUE(
      testing::wait_until([&upload] { return upload->progress().acknowledged > kBlockSize; }));
  upload->cancel(true);
  ASSERT_TRUE(testing::wait_until([&upload] { return upload.use_count() == 1; }));
}

TEST_F(UploadTest, NothingOfAnEarlierUploadShowsThroughAFileOfZeros) {
  cut_an_upload(start("f"));
  const auto upload = start("f");
  ASSERT_TRUE(truncate(*upload, 4 * kBlockSize));
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(content("f"), Bytes(4 * kBlockSize, 0));
}

TEST_F(UploadTest, NothingOfAnEarlierUploadIsRead) {
  cut_an_upload(start("f"));
  const auto upload = start("f");
  const size_t written = kBlockSize + 1000;
  write_all(*upload, random_bytes(written, 13), kBlockSize);
  ASSERT_TRUE(truncate(*upload, 4 * kBlockSize));
  const auto got = read(*upload, written, kBlockSize / 2);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, Bytes(kBlockSize / 2, 0));
  ASSERT_TRUE(commit(*upload, "f"));
}

TEST_F(UploadTest, LostAgentFailsTheUpload) {
  const auto upload = start("f");
  write_all(*upload, random_bytes(3 * kBlockSize, 10), kBlockSize);
  agent_.disconnect();
  const auto answer = commit(*upload, "f");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::connection_lost);
  upload->cancel(false);
  agent_.close();
  // What had arrived is kept for the next upload; it may be nothing.
  std::filesystem::remove(path(wire::staging_name_of("f")));
}

}  // namespace
}  // namespace cpaway::upload
