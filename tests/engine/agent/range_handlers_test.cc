// Holes, room and copies, of open files and of staging files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/fault.h"
#include "tests/engine/agent/upload_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

constexpr uint64_t kMiB = 1UL << 20U;
constexpr uint32_t kSource = 5;
constexpr uint32_t kTarget = 6;

uint64_t on_disk(const std::string& path) {
  return static_cast<uint64_t>(stat_of(path).st_blocks) * 512;
}

class RangeHandlersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // 64 KiB of data at 1 MiB, in a file of 3 MiB.
    const std::string path = dir.file("sparse");
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT, 0644));
    ASSERT_TRUE(pwrite_full(fd.get(), data, kMiB));
    ASSERT_EQ(::ftruncate(fd.get(), 3 * kMiB), 0);
    ASSERT_TRUE(open_file(client, kSource, "sparse", wire::kOpenRead));
  }
  void TearDown() override { fault::points().damage_block = 0; }
  Result<wire::Attr> open_target(const std::string& name, std::string_view content) {
    write_file(dir.file(name), content);
    return open_file(client, kTarget, name, wire::kOpenRead | wire::kOpenWrite);
  }

  const TempDir dir;
  const Bytes data = random_bytes(65536, 1);
  UploadClient agent{dir.path()};
  AgentClient& client = agent.client();
};

TEST_F(RangeHandlersTest, FindsDataAndHoles) {
  EXPECT_EQ(client.call(wire::Seek{kSource, 0, false})->offset, kMiB);
  EXPECT_EQ(client.call(wire::Seek{kSource, 0, true})->offset, 0U);
  EXPECT_EQ(client.call(wire::Seek{kSource, kMiB, true})->offset, kMiB + 65536);
  EXPECT_EQ(errno_of(client.call(wire::Seek{kSource, 2 * kMiB, false})), ENXIO);
  EXPECT_EQ(errno_of(client.call(wire::Seek{kSource, 3 * kMiB, true})), ENXIO);
  EXPECT_EQ(errno_of(client.call(wire::Seek{kSource, UINT64_MAX, true})), ENXIO);
  EXPECT_EQ(errno_of(client.call(wire::Seek{77, 0, true})), EBADF);
}

TEST_F(RangeHandlersTest, AllocatesPunchesAndZeroes) {
  ASSERT_TRUE(open_target("f", std::string(100'000, 'z')));
  const std::string path = dir.file("f");
  EXPECT_TRUE(client.call(wire::Allocate{kTarget, wire::kKeepSize, 0, kMiB}));
  EXPECT_EQ(stat_of(path).st_size, 100'000);
  EXPECT_GE(on_disk(path), kMiB);
  EXPECT_TRUE(client.call(wire::Allocate{kTarget, 0, 0, 200'000}));
  EXPECT_EQ(stat_of(path).st_size, 200'000);
  EXPECT_TRUE(client.call(wire::Allocate{kTarget, wire::kPunchHole | wire::kKeepSize, 4096, 4096}));
  EXPECT_TRUE(client.call(wire::Allocate{kTarget, wire::kZeroRange, 50'000, 1000}));
  std::string expected(200'000, '\0');
  std::fill_n(expected.begin(), 100'000, 'z');
  std::fill_n(expected.begin() + 4096, 4096, '\0');
  std::fill_n(expected.begin() + 50'000, 1000, '\0');
  EXPECT_EQ(read_file(path), expected);
  EXPECT_EQ(errno_of(client.call(wire::Allocate{kTarget, 8, 0, 4096})), EOPNOTSUPP);
  EXPECT_EQ(errno_of(client.call(wire::Allocate{kTarget, 0, 0, 0})), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::Allocate{kTarget, 0, INT64_MAX - 1, 1})), EFBIG);
  EXPECT_EQ(errno_of(client.call(wire::Allocate{kSource, 0, 0, 4096})), EBADF);
}

TEST_F(RangeHandlersTest, CopiesIntoAnOpenFileAndKeepsHoles) {
  ASSERT_TRUE(open_target("f", std::string(2 * kMiB, 'o')));
  EXPECT_EQ(client.call(wire::Copy{kTarget, 0, kSource, 0, 64 * kMiB})->size, 3 * kMiB);
  EXPECT_EQ(read_file(dir.file("f")), read_file(dir.file("sparse")));
  EXPECT_LT(on_disk(dir.file("f")), kMiB);
  EXPECT_EQ(client.call(wire::Copy{kTarget, 10, kSource, kMiB + 5, 7})->size, 7U);
  EXPECT_EQ(read_file(dir.file("f")).substr(10, 7), as_text(ByteSpan(data).subspan(5, 7)));
  EXPECT_EQ(client.call(wire::Copy{kTarget, 0, kSource, 3 * kMiB, 10})->size, 0U);
}

TEST_F(RangeHandlersTest, CopiesWithinAFileUnlessRangesOverlap) {
  ASSERT_TRUE(open_target("f", "0123456789"));
  EXPECT_EQ(client.call(wire::Copy{kTarget, 5, kTarget, 0, 5})->size, 5U);
  EXPECT_EQ(read_file(dir.file("f")), "0123401234");
  EXPECT_EQ(errno_of(client.call(wire::Copy{kTarget, 4, kTarget, 0, 5})), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::Copy{kTarget, INT64_MAX - 1, kTarget, 0, 5})), EFBIG);
  EXPECT_EQ(errno_of(client.call(wire::Copy{kTarget, 0, 99, 0, 5})), ESTALE);
  EXPECT_EQ(errno_of(client.call(wire::Copy{99, 0, kTarget, 0, 5})), EBADF);
}

TEST_F(RangeHandlersTest, RepairsACopyThatWasDamaged) {
  ASSERT_TRUE(open_target("f", ""));
  fault::points().damage_block = 1;
  EXPECT_EQ(client.call(wire::Copy{kTarget, 0, kSource, kMiB, 65536})->size, 65536U);
  EXPECT_EQ(read_file(dir.file("f")), as_text(data));
  fault::points().damage_block = -1;
  EXPECT_FALSE(client.call(wire::Copy{kTarget, 0, kSource, kMiB, 65536}));
}

TEST_F(RangeHandlersTest, PutsAnUploadTogetherFromAnotherFile) {
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.block(0, as_bytes("head")).value());
  EXPECT_EQ(client.call(wire::CopyTransfer{kUpload, 4, kSource, kMiB, 65536})->size, 65536U);
  EXPECT_EQ(client.call(wire::TransferStatus{kUpload})->bytes_hashed, 65540U);
  ASSERT_TRUE(agent.block(65540, as_bytes("tail")).value());
  const Bytes content = joined(joined(as_bytes("head"), data), as_bytes("tail"));
  const auto answer = agent.commit(content.size(), std::nullopt);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->sha256, hash::sha256(content));
  EXPECT_EQ(read_file(dir.file("f")), as_text(content));
}

TEST_F(RangeHandlersTest, SeeksAndAllocatesInAStagingFile) {
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.block(kMiB, data).value());
  EXPECT_EQ(client.call(wire::SeekTransfer{kUpload, 0, false})->offset, kMiB);
  EXPECT_EQ(errno_of(client.call(wire::SeekTransfer{kUpload, 2 * kMiB, true})), ENXIO);
  ASSERT_TRUE(client.call(wire::AllocateTransfer{kUpload, 0, 0, 2 * kMiB}));
  ASSERT_TRUE(client.call(wire::AllocateTransfer{kUpload, wire::kZeroRange, kMiB, 4096}));
  ASSERT_TRUE(client.call(wire::AllocateTransfer{kUpload, wire::kKeepSize, 0, 4 * kMiB}));
  ASSERT_TRUE(agent.commit(2 * kMiB, std::nullopt));
  std::string expected(2 * kMiB, '\0');
  std::copy(data.begin() + 4096, data.end(), expected.begin() + kMiB + 4096);
  EXPECT_EQ(read_file(dir.file("f")), expected);
  EXPECT_GE(on_disk(dir.file("f")), 4 * kMiB);
}

// Reading a terabyte of zeros would take an hour, and nothing is there to be compared with.
TEST_F(RangeHandlersTest, HashesNoHugeHoleUnasked) {
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.block(1ULL << 40U, as_bytes("x")).value());
  const auto answer = agent.commit((1ULL << 40U) + 1, std::nullopt);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->sha256, hash::Sha256Value{});
  EXPECT_EQ(answer->attr.size, (1ULL << 40U) + 1);
  EXPECT_LT(answer->attr.blocks, 100U);
}

TEST_F(RangeHandlersTest, CopiesNothingThatAKeyMayNotReadOrWrite) {
  ASSERT_TRUE(open_target("f", "old"));
  UploadClient writer(dir.path(), {.confine = {}, .mode = agent::Mode::write_only});
  ASSERT_TRUE(open_file(writer.client(), kTarget, "f", wire::kOpenWrite));
  EXPECT_EQ(errno_of(writer.client().call(wire::Copy{kTarget, 0, kTarget, 0, 1})), EACCES);
  EXPECT_TRUE(writer.client().call(wire::Allocate{kTarget, 0, 0, 10}));
  UploadClient reader(dir.path(), {.confine = {}, .mode = agent::Mode::read_only});
  ASSERT_TRUE(open_file(reader.client(), kTarget, "f", wire::kOpenRead));
  EXPECT_EQ(errno_of(reader.client().call(wire::Allocate{kTarget, 0, 0, 10})), EROFS);
  EXPECT_TRUE(reader.client().call(wire::Seek{kTarget, 0, true}));
}

}  // namespace
}  // namespace cpaway::testing
