// Uploads put together from bases: delta blocks, lists of chunks, files that turn out identical.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zstd.h>

#include <atomic>
#include <thread>

#include "engine/base/fault.h"
#include "engine/delta/chunker.h"
#include "tests/engine/agent/upload_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

using wire::kLiteral;

Bytes compressed(ByteSpan bytes) {
  Bytes out(ZSTD_compressBound(bytes.size()));
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1);
  EXPECT_EQ(ZSTD_isError(size), 0U);
  out.resize(size);
  return out;
}

class DeltaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file(dir.file("f"), as_text(old));
    write_file(dir.file("other"), as_text(other));
    ASSERT_TRUE(agent.init());
    ASSERT_TRUE(agent.basis(1, "f"));
    ASSERT_TRUE(agent.basis(2, "other"));
  }
  void expect_committed(const Bytes& content) {
    const auto answer = agent.commit(content);
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->sha256, hash::sha256(content));
    EXPECT_EQ(answer->attr.size, content.size());
    EXPECT_EQ(read_file(dir.file("f")), as_text(content));
    EXPECT_TRUE(staging_in(dir.path()).empty());
  }

  const TempDir dir;
  const Bytes old = random_bytes(300000, 1);
  const Bytes other = random_bytes(200000, 2);
  UploadClient agent{dir.path()};
};

// ---- blocks

TEST_F(DeltaTest, CopiesFromSeveralBasesBetweenLiterals) {
  const Bytes literals = random_bytes(700, 3);
  Bytes content = joined(ByteSpan(old).subspan(1000, 5000), ByteSpan(literals).first(300));
  content = joined(content, ByteSpan(other).first(7000));
  content = joined(content, ByteSpan(literals).subspan(300));
  content = joined(content, ByteSpan(old).subspan(299999));
  const std::vector<wire::Segment> segments = {
      {1, 5000, 1000}, {kLiteral, 300, 0}, {2, 7000, 0}, {kLiteral, 400, 0}, {1, 1, 299999}};
  ASSERT_TRUE(agent.delta(0, content, segments, literals).value());
  EXPECT_EQ(agent.read(0, 1 << 20).value(), content);
  // The literals of another block as one zstd frame, and behind it a block without a copy.
  const Bytes text(500, 'a');
  Bytes second = joined(ByteSpan(text).first(100), ByteSpan(other).subspan(199000));
  second = joined(second, ByteSpan(text).subspan(100));
  ASSERT_TRUE(agent
                  .delta(content.size(), second,
                         {{kLiteral, 100, 0}, {2, 1000, 199000}, {kLiteral, 400, 0}},
                         compressed(text), wire::kZstd)
                  .value());
  content = joined(content, second);
  ASSERT_TRUE(agent.delta(content.size(), literals, {{kLiteral, 700, 0}}, literals).value());
  content = joined(content, literals);
  const auto status = agent.client().call(wire::TransferStatus{kUpload});
  EXPECT_EQ(status->bytes_acknowledged, content.size());
  EXPECT_EQ(status->bytes_hashed, content.size());
  expect_committed(content);
}

TEST_F(DeltaTest, TheLargestBlockAndTheMostSegments) {
  const Bytes content = random_bytes(wire::kBlockSize, 4);
  ASSERT_TRUE(agent.delta(0, content, {{kLiteral, wire::kBlockSize, 0}}, content).value());
  std::vector<wire::Segment> segments;
  for (uint32_t i = 0; i < 65536; ++i) {
    segments.push_back({1, 1, i});
  }
  ASSERT_TRUE(agent.delta(content.size(), ByteSpan(old).first(65536), segments).value());
  expect_committed(joined(content, ByteSpan(old).first(65536)));
}

// The answer is the hash of what the agent has, and nothing is written.
TEST_F(DeltaTest, AnotherHashIsAnsweredAndWritesNothing) {
  const Bytes wrong = random_bytes(1000, 5);
  const auto answer = agent.client().call(delta_of(0, wrong, {{1, 1000, 50}}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->hash, hash::block_hash(ByteSpan(old).subspan(50, 1000)));
  EXPECT_EQ(answer->size, 1000U);
  EXPECT_TRUE(staging_in(dir.path()).empty());
  ASSERT_TRUE(agent.block(0, wrong).value());
  EXPECT_FALSE(agent.delta(0, ByteSpan(old).first(1000), {{1, 1000, 50}}).value());
  EXPECT_FALSE(agent.delta(0, old, {{kLiteral, 300000, 0}}, Bytes(300000)).value());
  EXPECT_EQ(agent.read(0, 1 << 20).value(), wrong);
  EXPECT_EQ(agent.client().call(wire::TransferStatus{kUpload})->bytes_acknowledged, 1000U);
  expect_committed(wrong);
}

TEST_F(DeltaTest, AMissingOrShortBasisGivesAnotherHash) {
  const ByteSpan wanted = ByteSpan(old).first(1000);
  EXPECT_FALSE(agent.delta(0, wanted, {{7, 1000, 0}}).value());       // never added
  EXPECT_FALSE(agent.delta(0, wanted, {{200, 1000, 0}}).value());     // no such number
  EXPECT_FALSE(agent.delta(0, wanted, {{0, 1000, 0}}).value());       // nothing was kept
  EXPECT_FALSE(agent.delta(0, wanted, {{1, 1000, 299500}}).value());  // ends in the middle
  EXPECT_FALSE(agent.delta(0, wanted, {{1, 1000, 1ULL << 40U}}).value());
  EXPECT_FALSE(agent.delta(0, wanted, {{1, 1000, UINT64_MAX - 10}}).value());
  EXPECT_TRUE(staging_in(dir.path()).empty());
  expect_committed({});
}

// What is not in a basis counts as zeros: a block of zeros has the right hash, and must arrive.
TEST_F(DeltaTest, ZerosOfAMissingBasisAreWritten) {
  const Bytes zeros(2000);
  ASSERT_TRUE(agent.block(0, ByteSpan(old).first(2000)).value());
  ASSERT_TRUE(agent.same(wire::kStagingBasis, 0, zeros).value());
  EXPECT_EQ(agent.read(0, 5000).value(), zeros);
  expect_committed(zeros);
}

TEST_F(DeltaTest, ZerosBehindTheEndOfTheOldVersionAreWritten) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  const Bytes zeros(1000);
  ASSERT_TRUE(agent.same(1, old.size(), zeros).value());
  const Bytes more = random_bytes(1000, 6);
  ASSERT_TRUE(agent.block(old.size() + 1000, more).value());
  expect_committed(joined(joined(old, zeros), more));
}

TEST_F(DeltaTest, RefusesMalformedSegmentsAndGoesOn) {
  const Bytes content = random_bytes(1000, 7);
  const auto refused = [&](uint32_t size, const std::vector<wire::Segment>& segments,
                           const Bytes& literals, uint8_t coding) {
    wire::DeltaBlock request = delta_of(0, content, segments, coding);
    request.size = size;
    return errno_of(agent.client().call(request, shared(literals)));
  };
  EXPECT_EQ(refused(0, {}, {}, 0), EINVAL);
  EXPECT_EQ(refused(1000, {}, {}, 0), EINVAL);
  EXPECT_EQ(refused(0, {{1, 0, 0}}, {}, 0), EINVAL);
  EXPECT_EQ(refused(1000, {{1, 1000, 0}, {1, 0, 0}}, {}, 0), EINVAL);
  EXPECT_EQ(refused(1000, {{1, 999, 0}}, {}, 0), EINVAL);
  EXPECT_EQ(refused(1000, {{1, 1001, 0}}, {}, 0), EINVAL);
  EXPECT_EQ(refused(1000, {{kLiteral, 1000, 0}}, Bytes(999), 0), EINVAL);
  EXPECT_EQ(refused(1000, {{kLiteral, 1000, 0}}, Bytes(1001), 0), EINVAL);
  EXPECT_EQ(refused(1000, {{1, 1000, 0}}, Bytes(1), 0), EINVAL);
  EXPECT_EQ(refused(wire::kBlockSize + 1, {{1, wire::kBlockSize + 1, 0}}, {}, 0), EINVAL);
  EXPECT_EQ(refused(1000, {{1, UINT32_MAX, 0}, {1, 1001, 0}}, {}, 0), EINVAL);  // no wrapping
  EXPECT_EQ(refused(1000, {{kLiteral, 1000, 0}}, content, 2), EINVAL);
  EXPECT_EQ(refused(1000, {{kLiteral, UINT32_MAX, 0}}, compressed(content), 1), EINVAL);
  EXPECT_TRUE(staging_in(dir.path()).empty());
  EXPECT_EQ(errno_of(agent.delta(UINT64_MAX - 10, content, {{kLiteral, 1000, 0}}, content)), EFBIG);
  ASSERT_TRUE(agent.block(0, content).value());
  expect_committed(content);
}

TEST_F(DeltaTest, RefusesMalformedCompressionAndGoesOn) {
  const Bytes content(1000, 'x');
  const auto code_of = [&](uint32_t size, const Bytes& literals) {
    const Bytes expected(size, 'x');
    const auto answer = agent.client().call(
        delta_of(0, expected, {{kLiteral, size, 0}}, wire::kZstd), shared(literals));
    return answer ? std::optional<Errc>() : answer.error().code;
  };
  const Bytes good = compressed(content);
  EXPECT_EQ(code_of(999, good), Errc::protocol);
  EXPECT_EQ(code_of(1001, good), Errc::protocol);
  EXPECT_EQ(code_of(1000, {}), Errc::protocol);
  EXPECT_EQ(code_of(1000, content), Errc::protocol);
  EXPECT_EQ(code_of(1000, joined(good, Bytes(1))), Errc::protocol);
  EXPECT_EQ(code_of(1000, Bytes(good.begin(), good.end() - 1)), Errc::protocol);
  EXPECT_EQ(code_of(1000, compressed(Bytes(256UL << 20U, 'x'))), Errc::protocol);  // a bomb
  Bytes damaged = compressed(random_bytes(1000, 8));
  damaged[damaged.size() / 2] ^= 1U;
  EXPECT_NE(code_of(1000, damaged), std::optional(Errc::os));
  // A frame where no segment is literal.
  const auto without = agent.client().call(
      delta_of(0, ByteSpan(old).first(10), {{1, 10, 0}}, wire::kZstd), shared(good));
  EXPECT_EQ(without.error().code, Errc::protocol);
  EXPECT_EQ(code_of(1000, good), std::nullopt);
  expect_committed(content);
}

// ---- bases

TEST_F(DeltaTest, RefusesWhatIsNoBasis) {
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0644), 0);
  ASSERT_EQ(::symlink("f", dir.file("link").c_str()), 0);
  EXPECT_EQ(errno_of(agent.basis(0, "f")), EINVAL);
  EXPECT_EQ(errno_of(agent.basis(9, "f")), EINVAL);
  EXPECT_EQ(errno_of(agent.basis(255, "f")), EINVAL);
  EXPECT_EQ(errno_of(agent.basis(1, "f")), EINVAL);  // taken
  EXPECT_EQ(errno_of(agent.basis(3, "missing")), ENOENT);
  EXPECT_EQ(errno_of(agent.basis(3, "link")), ELOOP);
  EXPECT_EQ(errno_of(agent.basis(3, "d")), EINVAL);
  EXPECT_EQ(errno_of(agent.basis(3, "fifo")), EINVAL);  // does not hang
  EXPECT_EQ(errno_of(agent.client().call(wire::AddBasis{2, 3, "f"})), EBADF);
  EXPECT_EQ(agent.basis(8, "f")->size, old.size());
}

TEST_F(DeltaTest, ListsTheChunksThatTheChunkerGives) {
  for (const delta::ChunkSizes& sizes :
       {delta::ChunkSizes{}, delta::ChunkSizes{1024, 1024, 1024},
        delta::ChunkSizes{1024, 2048, 4096}, delta::ChunkSizes{65536, 65536, 1U << 20U},
        delta::fixed_chunks(1024), delta::fixed_chunks(30000), delta::fixed_chunks(1U << 20U)}) {
    for (const uint64_t offset : {0ULL, 1ULL, 65536ULL, 299999ULL, 300000ULL, 1ULL << 62U}) {
      SCOPED_TRACE(concat("average ", sizes.average, " offset ", offset));
      const uint64_t from = std::min<uint64_t>(offset, old.size());
      hash::ChunkList expected;
      static_cast<void>(delta::append_chunks(ByteSpan(old).subspan(from), true, sizes, expected));
      const auto chunks = agent.chunks(
          {kUpload, 1, offset, wire::ListChunks::kMaxSize, sizes.min, sizes.average, sizes.max});
      ASSERT_TRUE(chunks) << chunks.error().to_string();
      EXPECT_EQ(*chunks, expected);
    }
  }
  hash::ChunkList expected;  // of a part
  static_cast<void>(delta::append_chunks(ByteSpan(old).subspan(500, 100000), true, {}, expected));
  EXPECT_EQ(agent.chunks({kUpload, 1, 500, 100000, 4096, 8192, 65536}).value(), expected);
  EXPECT_TRUE(agent.chunks({kUpload, 1, 0, 0, 4096, 8192, 65536})->empty());
  // With average 0 the least size does not count.
  EXPECT_EQ(agent.chunks({kUpload, 1, 0, 3000, 0, 0, 1024})->size(), 3U);
  EXPECT_EQ(agent.chunks({kUpload, 1, 0, 3000, UINT32_MAX, 0, 1024})->size(), 3U);
}

TEST_F(DeltaTest, RefusesSizesOfChunksOutOfRange) {
  const auto list = [&](uint32_t size, uint32_t min, uint32_t average, uint32_t max) {
    return errno_of(agent.chunks({kUpload, 1, 0, size, min, average, max}));
  };
  EXPECT_EQ(list(4096, 1024, 2048, 4096), 0);
  EXPECT_EQ(list(wire::ListChunks::kMaxSize + 1, 1024, 2048, 4096), EINVAL);
  EXPECT_EQ(list(UINT32_MAX, 1024, 2048, 4096), EINVAL);
  EXPECT_EQ(list(4096, 1023, 2048, 4096), EINVAL);
  EXPECT_EQ(list(4096, 0, 2048, 4096), EINVAL);
  EXPECT_EQ(list(4096, 1024, 3000, 4096), EINVAL);
  EXPECT_EQ(list(4096, 2049, 2048, 4096), EINVAL);
  EXPECT_EQ(list(4096, 1024, 8192, 4096), EINVAL);
  EXPECT_EQ(list(4096, 1024, 2048, (1U << 20U) + 1), EINVAL);
  EXPECT_EQ(list(4096, 1024, 1U << 31U, UINT32_MAX), EINVAL);
  EXPECT_EQ(list(4096, 0, 0, 0), EINVAL);
  EXPECT_EQ(list(4096, 0, 0, 1023), EINVAL);
  EXPECT_EQ(list(4096, 0, 0, (1U << 20U) + 1), EINVAL);
  EXPECT_EQ(errno_of(agent.chunks({kUpload, 5, 0, 1, 1024, 2048, 4096})), EBADF);
  EXPECT_EQ(errno_of(agent.chunks({kUpload, 9, 0, 1, 1024, 2048, 4096})), EBADF);
  EXPECT_EQ(errno_of(agent.chunks({kUpload, 0, 0, 1, 1024, 2048, 4096})), EBADF);  // none kept
  EXPECT_EQ(errno_of(agent.chunks({7, 1, 0, 1, 1024, 2048, 4096})), EBADF);
}

// ---- identical files

TEST_F(DeltaTest, AnIdenticalFileIsNotWritten) {
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0604), 0);
  const timespec times[2] = {{1000, 1}, {2000, 2}};
  ASSERT_EQ(::utimensat(AT_FDCWD, dir.file("f").c_str(), times, 0), 0);
  ASSERT_TRUE(agent.cancel(false));
  std::atomic<bool> done{false};
  bool appeared = false;
  std::thread watcher([&] {
    while (!done) {
      appeared = appeared || !staging_in(dir.path()).empty();
    }
  });
  const struct stat before = stat_of(dir.file("f"));
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.basis(1, "f"));
  for (size_t at = 0; at < old.size(); at += 65536) {
    const size_t size = std::min<size_t>(65536, old.size() - at);
    ASSERT_TRUE(agent.same(1, at, ByteSpan(old).subspan(at, size)).value());
  }
  expect_committed(old);
  done = true;
  watcher.join();
  EXPECT_FALSE(appeared);
  const struct stat after = stat_of(dir.file("f"));
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mode, 0100604U);
  EXPECT_GE(after.st_mtim.tv_sec, ::time(nullptr) - 100);
  EXPECT_EQ(errno_of(agent.client().call(wire::TransferStatus{kUpload})), EBADF);
}

TEST_F(DeltaTest, AnIdenticalFileGetsItsPlacement) {
  const bool xattrs = has_user_xattrs(dir.path());
  const ino_t ino = stat_of(dir.file("f")).st_ino;
  ASSERT_TRUE(agent.same(1, 0, old).value());
  wire::Placement placement = place_at("f");
  placement.attr.mode = 0711;
  placement.attr.atime = wire::Time{1000, 1};
  placement.attr.mtime = wire::Time{2000, 2};
  if (::geteuid() == 0) {
    placement.attr.uid = 1234;
    placement.attr.gid = 2345;
  }
  if (xattrs) {
    placement.xattrs.push_back({"user.colour", {'r', 'e', 'd'}});
  }
  const auto answer = agent.commit(old, placement);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->attr.ino, ino);
  EXPECT_EQ(answer->attr.mode, 0100711U);
  EXPECT_EQ(answer->attr.mtime, (wire::Time{2000, 2}));
  EXPECT_EQ(answer->attr.atime, (wire::Time{1000, 1}));
  EXPECT_EQ(stat_of(dir.file("f")).st_uid, ::geteuid() == 0 ? 1234U : ::geteuid());
  EXPECT_EQ(stat_of(dir.file("f")).st_gid, ::geteuid() == 0 ? 2345U : ::getegid());
  if (xattrs) {
    char value[16];
    EXPECT_EQ(::getxattr(dir.file("f").c_str(), "user.colour", value, sizeof value), 3);
  }
}

TEST_F(DeltaTest, AnIdenticalFileKeepsItsModeWithANewOwner) {
  const uint32_t mode = ::geteuid() == 0 ? 06755 : 0755;  // only root may keep these bits
  ASSERT_EQ(::chmod(dir.file("f").c_str(), mode), 0);
  ASSERT_TRUE(agent.same(1, 0, old).value());
  wire::Placement placement = place_at("f");
  placement.attr.uid = ::geteuid();
  placement.attr.gid = ::getegid();
  const auto answer = agent.commit(old, placement);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->attr.mode, 0100000U | mode);
}

TEST_F(DeltaTest, AnIdenticalFileOfNoBytes) {
  write_file(dir.file("empty"), "");
  const ino_t ino = stat_of(dir.file("empty")).st_ino;
  ASSERT_TRUE(agent.cancel(false));
  ASSERT_TRUE(agent.init("empty"));
  ASSERT_TRUE(agent.basis(1, "empty"));
  const auto answer = agent.commit({}, place_at("empty"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->attr.ino, ino);
  EXPECT_EQ(answer->sha256, hash::sha256({}));
}

TEST_F(DeltaTest, AnIdenticalFileWithAWrongDigestIsRefused) {
  const struct stat before = stat_of(dir.file("f"));
  ASSERT_TRUE(agent.same(1, 0, old).value());
  wire::Placement placement = place_at("f");
  placement.attr.mode = 0600;
  EXPECT_EQ(agent.commit(old.size(), hash::sha256(other), placement).error().code, Errc::verify);
  EXPECT_EQ(stat_of(dir.file("f")).st_mode, before.st_mode);
  EXPECT_EQ(stat_of(dir.file("f")).st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  expect_committed(old);  // the transfer stayed
}

TEST_F(DeltaTest, AnIdenticalFileBesideAnotherName) {
  const ino_t ino = stat_of(dir.file("f")).st_ino;
  ASSERT_TRUE(agent.same(1, 0, old).value());
  wire::Placement exclusive = place_at("f");
  exclusive.exclusive = true;
  EXPECT_EQ(errno_of(agent.commit(old, exclusive)), EEXIST);
  EXPECT_EQ(stat_of(dir.file("f")).st_ino, ino);
  ASSERT_TRUE(agent.commit(old, place_at("g")));  // where there is no old version
  EXPECT_EQ(read_file(dir.file("g")), as_text(old));
  EXPECT_NE(stat_of(dir.file("g")).st_ino, ino);
  EXPECT_EQ(stat_of(dir.file("f")).st_ino, ino);
}

TEST_F(DeltaTest, AFreshFileKeepsTheOldOneOnlyIfThatCouldBeNew) {
  const auto commit_fresh = [&] {
    EXPECT_TRUE(agent.same(1, 0, old).value());
    wire::Placement placement = place_at("f");
    placement.fresh = true;
    placement.create_mode = 0640;
    const auto answer = agent.commit(old, placement);
    EXPECT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(stat_of(dir.file("f")).st_mode, 0100640U);
    EXPECT_EQ(stat_of(dir.file("f")).st_uid, ::geteuid());
    EXPECT_EQ(read_file(dir.file("f")), as_text(old));
  };
  const auto begin = [&] {
    ASSERT_TRUE(agent.init());
    ASSERT_TRUE(agent.basis(1, "f"));
  };
  const ino_t ino = stat_of(dir.file("f")).st_ino;
  commit_fresh();
  EXPECT_EQ(stat_of(dir.file("f")).st_ino, ino);
  ASSERT_EQ(::link(dir.file("f").c_str(), dir.file("second").c_str()), 0);
  begin();
  commit_fresh();  // a new file has one name
  EXPECT_NE(stat_of(dir.file("f")).st_ino, ino);
  EXPECT_EQ(stat_of(dir.file("second")).st_ino, ino);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(dir.file("f").c_str(), 1234, 2345), 0);
    begin();
    commit_fresh();
  }
  if (has_user_xattrs(dir.path())) {
    ASSERT_EQ(::setxattr(dir.file("f").c_str(), "user.note", "x", 1, 0), 0);
    begin();
    commit_fresh();
    char value[16];
    EXPECT_EQ(::getxattr(dir.file("f").c_str(), "user.note", value, sizeof value), -1);
  }
}

// ---- blocks that were only noted

TEST_F(DeltaTest, NotedBlocksAreCopiedBeforeADifferentOne) {
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(100000)).value());
  ASSERT_TRUE(agent.same(1, 100000, ByteSpan(old).subspan(100000, 100000)).value());
  EXPECT_TRUE(staging_in(dir.path()).empty());
  EXPECT_EQ(agent.client().call(wire::TransferStatus{kUpload})->bytes_hashed, 200000U);
  ASSERT_TRUE(agent.block(200000, other).value());
  EXPECT_EQ(staging_in(dir.path()).size(), 1U);
  EXPECT_EQ(read_file(dir.file("f")), as_text(old));
  expect_committed(joined(ByteSpan(old).first(200000), other));
}

TEST_F(DeltaTest, OnlyTheFrontOfTheOldVersionIsNoted) {
  const std::vector<std::vector<wire::Segment>> ways = {
      {{1, 50, 0}, {1, 50, 50}}, {{1, 100, 1}}, {{2, 100, 0}}};
  for (const auto& segments : ways) {
    Bytes content;
    for (const wire::Segment& segment : segments) {
      content =
          joined(content,
                 ByteSpan(segment.basis == 1 ? old : other).subspan(segment.offset, segment.size));
    }
    ASSERT_TRUE(agent.delta(0, content, segments).value());
    EXPECT_EQ(staging_in(dir.path()).size(), 1U);
    EXPECT_EQ(agent.read(0, 200).value(), content);
    ASSERT_TRUE(agent.cancel(false));
    ASSERT_TRUE(agent.init());
    ASSERT_TRUE(agent.basis(1, "f"));
    ASSERT_TRUE(agent.basis(2, "other"));
  }
  ASSERT_TRUE(agent.same(1, 100, ByteSpan(old).subspan(100, 100)).value());  // a gap before it
  EXPECT_EQ(agent.read(100, 200).value(), Bytes(old.begin() + 100, old.begin() + 200));
}

TEST_F(DeltaTest, ANotedBlockMayComeTwice) {
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(1000)).value());
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(1000)).value());
  ASSERT_TRUE(agent.same(1, 1000, ByteSpan(old).subspan(1000)).value());
  expect_committed(old);
}

TEST_F(DeltaTest, ReadsAndCutsWhatWasNoted) {
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(100000)).value());
  EXPECT_EQ(agent.read(99990, 100).value(), Bytes(old.begin() + 99990, old.begin() + 100000));
  ASSERT_TRUE(agent.cancel(false));
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.basis(1, "f"));
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(100000)).value());
  ASSERT_TRUE(agent.truncate(70000));
  EXPECT_EQ(agent.read(69990, 100).value().size(), 10U);
  ASSERT_TRUE(agent.truncate(80000));
  expect_committed(joined(ByteSpan(old).first(70000), Bytes(10000)));
}

TEST_F(DeltaTest, ADamagedCopyIsMadeAgain) {
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(100000)).value());
  fault::points().damage_block = 2;
  EXPECT_EQ(agent.read(0, 100000).value_or(Bytes{}), Bytes(old.begin(), old.begin() + 100000));
  fault::points().damage_block = 0;
  expect_committed(Bytes(old.begin(), old.begin() + 100000));
}

// More damage than tries: what was not copied then is not taken for copied later.
TEST_F(DeltaTest, CopiesThatFailedAreMadeByTheNextRequest) {
  ASSERT_TRUE(agent.same(1, 0, ByteSpan(old).first(100000)).value());
  fault::points().damage_block = 3;
  EXPECT_EQ(agent.block(100000, other).error().code, Errc::verify);
  fault::points().damage_block = 0;
  ASSERT_TRUE(agent.block(100000, other).value());
  expect_committed(joined(ByteSpan(old).first(100000), other));
}

TEST_F(DeltaTest, CommitsAPartOfWhatWasNoted) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  expect_committed(Bytes(old.begin(), old.begin() + 1234));
}

// ---- somebody else changes the old version

TEST_F(DeltaTest, AnOldVersionThatChangedIsAConflictForGood) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  Bytes changed = old;
  changed[150000] ^= 1U;
  write_file(dir.file("f"), as_text(changed));
  EXPECT_EQ(agent.block(old.size(), other).error().code, Errc::conflict);
  EXPECT_EQ(agent.block(old.size(), other).error().code, Errc::conflict);
  EXPECT_EQ(agent.read(0, 10).error().code, Errc::conflict);
  EXPECT_EQ(agent.commit(old).error().code, Errc::conflict);
  EXPECT_EQ(agent.commit(old.size(), std::nullopt).error().code, Errc::conflict);
  EXPECT_EQ(read_file(dir.file("f")), as_text(changed));
  ASSERT_TRUE(agent.cancel(false));
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(DeltaTest, AnIdenticalCommitSeesThatTheOldVersionChanged) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  Bytes changed = old;
  changed[0] ^= 1U;
  write_file(dir.file("f"), as_text(changed));
  const timespec times[2] = {{0, UTIME_OMIT}, stat_of(dir.file("other")).st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, dir.file("f").c_str(), times, 0), 0);
  EXPECT_EQ(agent.commit(old).error().code, Errc::conflict);
  EXPECT_EQ(agent.commit(old).error().code, Errc::conflict);
  EXPECT_EQ(read_file(dir.file("f")), as_text(changed));
}

TEST_F(DeltaTest, AnOldVersionThatGotShorterOrLonger) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  ASSERT_EQ(::truncate(dir.file("f").c_str(), 299999), 0);
  EXPECT_EQ(agent.commit(old).error().code, Errc::conflict);
  ASSERT_TRUE(agent.cancel(false));
  write_file(dir.file("f"), as_text(joined(old, other)));
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.basis(1, "f"));
  ASSERT_TRUE(agent.same(1, 0, old).value());
  expect_committed(old);  // what was copied is there
}

TEST_F(DeltaTest, AnOldVersionWhoseAttributesChangedIsStillOne) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0600), 0);
  expect_committed(old);
  EXPECT_EQ(stat_of(dir.file("f")).st_mode, 0100600U);
}

// The name means another file by now: that one is replaced, as by any commit.
TEST_F(DeltaTest, AnOldVersionThatWasReplacedOrRemoved) {
  ASSERT_TRUE(agent.same(1, 0, old).value());
  ASSERT_EQ(::rename(dir.file("other").c_str(), dir.file("f").c_str()), 0);
  expect_committed(old);
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.basis(1, "f"));
  ASSERT_TRUE(agent.same(1, 0, old).value());
  ASSERT_EQ(::unlink(dir.file("f").c_str()), 0);
  expect_committed(old);
}

// Two bases under the target's name: the first is the old version.
TEST_F(DeltaTest, NotesOnlyWhatTheFirstBasisOfTheTargetHolds) {
  const Bytes newer = random_bytes(old.size(), 9);
  write_file(dir.file("new"), as_text(newer));
  ASSERT_EQ(::link(dir.file("f").c_str(), dir.file("kept").c_str()), 0);
  ASSERT_EQ(::rename(dir.file("new").c_str(), dir.file("f").c_str()), 0);
  ASSERT_TRUE(agent.basis(3, "f"));
  ASSERT_TRUE(agent.same(3, 0, newer).value());
  ASSERT_EQ(::rename(dir.file("kept").c_str(), dir.file("f").c_str()), 0);
  expect_committed(newer);
}

}  // namespace
}  // namespace cpaway::testing
