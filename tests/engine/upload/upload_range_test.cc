// Holes, room and copies in an upload.
#include <random>

#include "tests/engine/upload/upload_fixture.h"
#include "tests/support/random_bytes.h"

namespace cpaway::upload {
namespace {

using testing::random_bytes;
using wire::kBlockSize;

constexpr uint32_t kSource = 9;
constexpr uint64_t kGiB = 1ULL << 30U;

class UploadRange : public testing::UploadTest {
 protected:
  void SetUp() override {
    testing::write_file(path("source"), as_text(source_));
    ASSERT_TRUE(testing::ask(agent_, wire::Open{kSource, "source", wire::kOpenRead, 0}));
  }
  uint64_t blocks_of(const std::string& name) {
    const auto answer = testing::ask(agent_, wire::GetAttr{{0, name}});
    return answer ? answer->answer.blocks : UINT64_MAX;
  }

  const Bytes source_ = random_bytes(3 * kBlockSize + 77, 20);
};

// By a jump, and near powers of two: 2^44 less a block is ext4's largest.
TEST(FarJump, IsWhatAFilesystemMayNotTake) {
  constexpr uint64_t kLimit = 1ULL << 44U;
  EXPECT_FALSE(is_far_jump(0, 3 * kGiB));
  EXPECT_TRUE(is_far_jump(0, 5 * kGiB));
  EXPECT_FALSE(is_far_jump(5 * kGiB, 5 * kGiB + kBlockSize));
  EXPECT_FALSE(is_far_jump(5 * kGiB, 4 * kGiB + kGiB / 2));
  EXPECT_TRUE(is_far_jump(8 * kGiB - kBlockSize, 8 * kGiB));
  EXPECT_TRUE(is_far_jump(kLimit - 8192, kLimit - 4096));
  EXPECT_TRUE(is_far_jump(kLimit - 4096, kLimit + 4096));
  EXPECT_TRUE(is_far_jump(kLimit, kLimit + 4096));
  EXPECT_FALSE(is_far_jump(kLimit + kBlockSize, kLimit + 2 * kBlockSize));
}

TEST_F(UploadRange, CopiesAtTheAgent) {
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, as_bytes("head")));
  EXPECT_EQ(copy(*upload, 4, kSource, 0, 1ULL << 40U).value(), source_.size());
  ASSERT_TRUE(write(*upload, 4 + source_.size(), as_bytes("tail")));
  EXPECT_EQ(upload->progress().matched, source_.size());
  EXPECT_EQ(copy(*upload, 0, kSource, source_.size(), 10).value(), 0U);
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  Bytes expected = {'h', 'e', 'a', 'd'};
  expected.insert(expected.end(), source_.begin(), source_.end());
  expected.insert(expected.end(), {'t', 'a', 'i', 'l'});
  EXPECT_EQ(content("f"), expected);
  EXPECT_EQ(answer->sha256, hash::sha256(expected));
  EXPECT_EQ(upload->progress().sent, 8U);
}

TEST_F(UploadRange, ARefusedCopyOrAllocationDoesNoHarm) {
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, as_bytes("kept")));
  EXPECT_EQ(copy(*upload, 0, kSource, INT64_MAX, 100).error().os_errno, EINVAL);
  EXPECT_EQ(allocate(*upload, 8, 0, 100).error().os_errno, EOPNOTSUPP);
  EXPECT_EQ(allocate(*upload, 0, INT64_MAX - 100, 100).error().os_errno, EFBIG);
  ASSERT_TRUE(commit(*upload, "f"));
  EXPECT_EQ(content("f"), Bytes({'k', 'e', 'p', 't'}));
}

TEST_F(UploadRange, AFailedCopyCommitsNothing) {
  testing::write_file(path("f"), "old");
  const auto upload = start("f");
  EXPECT_EQ(copy(*upload, 0, 77, 0, 100).error().os_errno, ESTALE);
  EXPECT_EQ(commit(*upload, "f").error().os_errno, ESTALE);
  EXPECT_EQ(content("f"), Bytes({'o', 'l', 'd'}));
  upload->cancel(false);
}

TEST_F(UploadRange, FindsHolesBeforeAndAfterAnythingWasSent) {
  const auto upload = start("f");
  EXPECT_EQ(seek(*upload, 0, true).error().os_errno, ENXIO);
  ASSERT_TRUE(write(*upload, 65536, as_bytes("data")));
  EXPECT_EQ(seek(*upload, 0, false).value(), 65536U);
  EXPECT_EQ(seek(*upload, 0, true).value(), 0U);
  EXPECT_EQ(seek(*upload, 65537, true).value(), 65540U);
  ASSERT_TRUE(truncate(*upload, 2 * kBlockSize));
  ASSERT_TRUE(write(*upload, kBlockSize, random_bytes(4096, 1)));
  EXPECT_EQ(seek(*upload, 200'000, false).value(), kBlockSize);
  EXPECT_EQ(seek(*upload, kBlockSize, true).value(), kBlockSize + 4096U);
  EXPECT_EQ(seek(*upload, 2 * kBlockSize - 1, true).value(), 2 * kBlockSize - 1U);
  EXPECT_EQ(seek(*upload, 2 * kBlockSize - 1, false).error().os_errno, ENXIO);
  EXPECT_EQ(seek(*upload, 2 * kBlockSize, true).error().os_errno, ENXIO);
  upload->cancel(false);
}

TEST_F(UploadRange, GapsStayHolesAndAreNotHashedWhereTheyAreLarge) {
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, as_bytes("start")));
  ASSERT_TRUE(write(*upload, 3 * kGiB, as_bytes("end")));
  const auto answer = commit(*upload, "f");
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->sha256, hash::Sha256Value{});
  EXPECT_EQ(answer->attr.size, 3 * kGiB + 3);
  EXPECT_LT(blocks_of("f"), 100U);
}

TEST_F(UploadRange, ASmallFileOfZerosIsAHole) {
  const auto upload = start("f");
  ASSERT_TRUE(truncate(*upload, kBlockSize));
  ASSERT_TRUE(commit(*upload, "f"));
  EXPECT_EQ(content("f"), Bytes(kBlockSize, 0));
  EXPECT_EQ(blocks_of("f"), 0U);
}

TEST_F(UploadRange, WhatNoFileCanHoldIsRefusedAtOnce) {
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, as_bytes("kept")));
  EXPECT_EQ(write(*upload, INT64_MAX - 100, as_bytes("x")).error().os_errno, EFBIG);
  EXPECT_EQ(truncate(*upload, INT64_MAX).error().os_errno, EFBIG);
  EXPECT_EQ(upload->size(), 4U);
  ASSERT_TRUE(write(*upload, 5 * kGiB, as_bytes("x")));
  EXPECT_EQ(upload->size(), 5 * kGiB + 1);
  ASSERT_TRUE(truncate(*upload, 4));
  ASSERT_TRUE(commit(*upload, "f"));
  EXPECT_EQ(content("f"), Bytes({'k', 'e', 'p', 't'}));
}

class UploadOverKept : public UploadRange {
 protected:
  void SetUp() override {
    UploadRange::SetUp();
    const auto cut = start("f");
    write_all(*cut, random_bytes(3 * kBlockSize, 11), kBlockSize);
    ASSERT_TRUE(testing::wait_until([&cut] { return cut->progress().acknowledged > kBlockSize; }));
    cut->cancel(true);
    ASSERT_TRUE(testing::wait_until([&cut] { return cut.use_count() == 1; }));
  }
};

TEST_F(UploadOverKept, NothingOfItShowsThroughRoomOrACopy) {
  const auto upload = start("f");
  ASSERT_TRUE(allocate(*upload, 0, 0, 2 * kBlockSize));
  EXPECT_EQ(copy(*upload, 100, kSource, 0, 1000).value(), 1000U);
  ASSERT_TRUE(commit(*upload, "f"));
  Bytes expected(2 * kBlockSize, 0);
  std::copy_n(source_.begin(), 1000, expected.begin() + 100);
  EXPECT_EQ(content("f"), expected);
}

TEST_F(UploadOverKept, NothingOfItIsReadOrFoundBehindATruncationUp) {
  const auto upload = start("f");
  ASSERT_TRUE(write(*upload, 0, random_bytes(kBlockSize, 12)));
  ASSERT_TRUE(truncate(*upload, 3 * kBlockSize));
  EXPECT_EQ(read(*upload, kBlockSize, 1000).value(), Bytes(1000, 0));
  EXPECT_EQ(seek(*upload, kBlockSize, false).error().os_errno, ENXIO);
  upload->cancel(false);
}

// As UploadTest's, with all that changes parts of a file.
TEST_F(UploadRange, RandomChangesMatchAnArray) {
  const uint32_t seed = testing::random_seed();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 6; ++round) {
    Bytes model;
    const auto upload = start("f");
    for (int step = 0; step < 30; ++step) {
      const uint64_t offset = random() % (4 * kBlockSize);
      const size_t size = 1 + random() % kBlockSize;
      const auto grow = [&](uint64_t end) { model.resize(std::max<size_t>(model.size(), end), 0); };
      const auto at = [&](uint64_t where) { return model.begin() + static_cast<ptrdiff_t>(where); };
      switch (random() % 6) {
        case 0: {
          ASSERT_TRUE(truncate(*upload, offset));
          model.resize(offset, 0);
          break;
        }
        case 1: {
          const uint64_t from = random() % source_.size();
          const size_t copied = std::min(size, source_.size() - from);
          ASSERT_EQ(copy(*upload, offset, kSource, from, size).value(), copied);
          grow(offset + copied);
          std::copy_n(source_.begin() + static_cast<ptrdiff_t>(from), copied, at(offset));
          break;
        }
        case 2: {
          const bool keep = random() % 2 == 0;
          ASSERT_TRUE(
              allocate(*upload, wire::kZeroRange | (keep ? wire::kKeepSize : 0), offset, size));
          grow(keep ? 0 : offset + size);
          const size_t end = std::min<size_t>(model.size(), offset + size);
          std::fill(at(std::min<size_t>(offset, end)), at(end), uint8_t{0});
          break;
        }
        case 3: {
          const auto got = read(*upload, offset, static_cast<uint32_t>(size));
          ASSERT_TRUE(got);
          const size_t to = std::min<size_t>(offset + size, model.size());
          ASSERT_EQ(*got, Bytes(at(std::min<size_t>(offset, to)), at(to)));
          break;
        }
        default: {
          const Bytes data = random_bytes(size, static_cast<uint32_t>(random()));
          ASSERT_TRUE(write(*upload, offset, data));
          grow(offset + size);
          std::copy(data.begin(), data.end(), at(offset));
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

}  // namespace
}  // namespace cpaway::upload
