// Whatever the journal claims, content is right: what it says is only where to look first.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "engine/base/strings.h"
#include "engine/delta/chunker.h"
#include "engine/upload/journal.h"
#include "engine/wire/names.h"
#include "tests/engine/upload/upload_fixture.h"

namespace cpaway::upload {
namespace {

using testing::random_bytes;
using wire::kBlockSize;

hash::ChunkList chunks_of(ByteSpan bytes) {
  hash::ChunkList chunks;
  static_cast<void>(delta::append_chunks(bytes, true, delta::ChunkSizes{}, chunks));
  return chunks;
}

class LyingJournal : public cache::NullJournal {
 public:
  std::optional<KnownVersion> find_version(const VersionKey& key) override {
    if (!chunks) {
      return std::nullopt;
    }
    return KnownVersion{{key, "f"}, {}, *chunks};
  }
  std::vector<KnownFile> find_similar(const std::vector<hash::BlockHash>& /*ids*/,
                                      size_t /*limit*/) override {
    return similar;
  }
  std::optional<Checkpoint> find_checkpoint(const std::string& /*path*/) override {
    return checkpoint;
  }

  std::optional<hash::ChunkList> chunks;  // of every version
  std::vector<KnownFile> similar;
  std::optional<Checkpoint> checkpoint;
};

class LyingJournalTest : public testing::UploadTest {
 protected:
  Journal& journal() override { return lies_; }

  void put(const std::string& name, const Bytes& bytes) const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  VersionKey key(const std::string& name) const {
    struct stat st {};
    EXPECT_EQ(::stat(path(name).c_str(), &st), 0);
    return {st.st_dev,
            st.st_ino,
            static_cast<uint64_t>(st.st_size),
            st.st_mtim.tv_sec,
            st.st_ctim.tv_sec,
            static_cast<uint32_t>(st.st_mtim.tv_nsec),
            static_cast<uint32_t>(st.st_ctim.tv_nsec)};
  }
  // Uploads over "f" what should be found in it if the journal said the truth.
  void expect_right(const Bytes& next, Hints hints) {
    const auto upload = start("f", std::move(hints));
    write_all(*upload, next, 128UL << 10U);
    const auto answer = commit(*upload, "f");
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->sha256, hash::sha256(next));
    EXPECT_EQ(content("f"), next);
  }

  LyingJournal lies_;
};

TEST_F(LyingJournalTest, OldVersionIsSaidToBeTheNewOne) {
  const Bytes old = random_bytes(3 * kBlockSize + 500, 1);
  Bytes next = random_bytes(old.size(), 2);
  lies_.chunks = chunks_of(next);
  put("f", old);
  expect_right(next, {key("f"), ""});
  // As long, and right but for one byte in the middle.
  put("f", old);
  next = old;
  next[kBlockSize + 77] ^= 1U;
  lies_.chunks = chunks_of(next);
  expect_right(next, {key("f"), ""});
}

TEST_F(LyingJournalTest, VersionIsSaidToBeLongerThanItIs) {
  const Bytes next = random_bytes(4 * kBlockSize, 3);
  lies_.chunks = chunks_of(next);
  put("f", Bytes(next.begin(), next.begin() + 1500 * 1024));
  expect_right(next, {key("f"), ""});
}

TEST_F(LyingJournalTest, ChunksOfAnySize) {
  const uint32_t seed = testing::random_seed();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const Bytes old = random_bytes(4 * kBlockSize, random());
  for (int round = 0; round < 6; ++round) {
    put("f", old);
    Bytes next = old;
    next.insert(next.begin() + random() % next.size(), 1 + random() % 5000, uint8_t{7});
    hash::ChunkList chunks = chunks_of(round % 2 == 0 ? old : next);
    for (int i = 0; i < 40; ++i) {
      hash::Chunk& one = chunks[random() % chunks.size()];
      switch (random() % 3) {
        case 0:
          one.size = static_cast<uint32_t>(random() % (2UL << 20U));
          break;
        case 1:
          std::swap(one.id, chunks[random() % chunks.size()].id);
          break;
        default:
          std::swap(one, chunks[random() % chunks.size()]);
      }
    }
    lies_.chunks = chunks;
    expect_right(next, {key("f"), ""});
  }
}

TEST_F(LyingJournalTest, CheckpointOfOtherContent) {
  const Bytes cut_off = random_bytes(3 * kBlockSize, 5);
  const auto cut = start("f");
  write_all(*cut, cut_off, kBlockSize);
  ASSERT_TRUE(testing::wait_until([&cut] { return cut->progress().acknowledged > kBlockSize; }));
  cut->cancel(true);
  ASSERT_TRUE(testing::wait_until([&cut] { return cut.use_count() == 1; }));
  const Bytes next = random_bytes(4 * kBlockSize, 6);
  Checkpoint checkpoint;
  checkpoint.path = "f";
  checkpoint.staging_name = wire::staging_name_of("f");
  uint64_t at = 0;
  for (const hash::Chunk& chunk : chunks_of(next)) {
    checkpoint.blocks.push_back({at, chunk});
    at += chunk.size;
  }
  checkpoint.bytes_acknowledged = at;
  lies_.checkpoint = checkpoint;
  expect_right(next, {});
}

TEST_F(LyingJournalTest, SimilarFilesThatAreNone) {
  const Bytes next = random_bytes(3 * kBlockSize, 7);
  lies_.chunks = chunks_of(next);
  put("other", random_bytes(next.size(), 8));
  std::filesystem::create_directory(path("directory"));
  for (const std::string name : {"other", "directory", "missing", "../../etc/passwd"}) {
    SCOPED_TRACE(name);
    KnownFile known{{}, name};
    if (std::filesystem::exists(path(name))) {
      known.key = key(name);
    }
    lies_.similar = {known};
    std::filesystem::remove(path("f"));
    expect_right(next, {});
  }
}

}  // namespace
}  // namespace cpaway::upload
