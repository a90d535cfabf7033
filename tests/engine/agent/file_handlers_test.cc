// Handles: open, read, write, fsync, readdir, digest.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "engine/base/fault.h"
#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

class FileHandlersTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(client.hello(dir.path())); }
  Result<std::string> read(uint32_t handle, uint64_t offset, uint32_t size) {
    Bytes bulk;
    CPAWAY_TRY(client.call(wire::Read{handle, offset, size}, nullptr, &bulk));
    return std::string(as_text(bulk));
  }
  std::multiset<std::string> list(uint32_t handle, bool restart) {
    std::multiset<std::string> names;
    for (bool end = false; !end; restart = false) {
      const auto page = client.call(wire::ReadDir{handle, restart});
      EXPECT_TRUE(page);
      if (!page) {
        break;
      }
      for (const wire::DirEntry& entry : page->entries) {
        EXPECT_NE(entry.attr.ino, 0U);
        names.insert(entry.name);
      }
      end = page->end;
    }
    return names;
  }

  const TempDir dir;
  AgentClient client;
};

TEST_F(FileHandlersTest, ReadsAndWritesInPlace) {
  write_file(dir.file("f"), "0123456789");
  const auto attr = open_file(client, 1, "f", wire::kOpenRead | wire::kOpenWrite);
  ASSERT_TRUE(attr);
  EXPECT_EQ(attr->size, 10U);
  EXPECT_EQ(*read(1, 2, 3), "234");
  const auto answer = write_block(client, 1, 3, as_bytes("abc"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->hash, hash::block_hash(as_bytes("abc")));
  EXPECT_EQ(*read(1, 0, 100), "012abc6789");
  EXPECT_EQ(*read(1, 10, 100), "");
  EXPECT_EQ(client.call(wire::GetAttr{{1, ""}})->size, 10U);
  EXPECT_TRUE(client.call(wire::FSync{{1, ""}, false}));
  EXPECT_TRUE(client.call(wire::FSync{{1, ""}, true}));
  EXPECT_TRUE(client.call(wire::FSync{{0, "f"}, false}));
  EXPECT_TRUE(client.call(wire::FSync{{0, ""}, false}));
  EXPECT_TRUE(client.call(wire::Close{1}));
}

TEST_F(FileHandlersTest, CreatesAndCuts) {
  const auto attr = open_file(client, 1, "f", wire::kOpenWrite | wire::kOpenCreate, 0200);
  ASSERT_TRUE(attr);
  EXPECT_EQ(attr->mode, 0100200U);
  EXPECT_TRUE(write_block(client, 1, 0, as_bytes("text")));
  EXPECT_EQ(errno_of(open_file(client, 2, "f", wire::kOpenWrite | wire::kOpenCreate)), EEXIST);
  EXPECT_EQ(open_file(client, 3, "f", wire::kOpenWrite | wire::kOpenTruncate)->size, 0U);
  EXPECT_TRUE(open_file(client, 4, "f", wire::kOpenWrite | wire::kOpenSync));
}

TEST_F(FileHandlersTest, SetsSizeBehindWritesOnAHandle) {
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenWrite | wire::kOpenCreate));
  const Bytes bytes = random_bytes(1000, 1);
  client.send(wire::Write{1, 0, hash::block_hash(bytes)}, shared(bytes));
  wire::SetAttr cut;
  cut.size = 10;
  const uint32_t cutting = client.send(wire::SetAttrRequest{{1, ""}, cut});
  EXPECT_EQ(client.wait_for<wire::SetAttrRequest>(cutting)->size, 10U);
}

TEST_F(FileHandlersTest, AppendsWhereverTheEndIs) {
  write_file(dir.file("f"), "others");
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenWrite));
  const Bytes bytes = {'m', 'i', 'n', 'e'};
  wire::Append request{1, 0, hash::block_hash(bytes), false};
  EXPECT_EQ(client.call(request, shared(bytes))->offset, 6U);
  EXPECT_EQ(client.call(request, shared(bytes))->offset, 10U);
  request.again = true;
  for (const uint64_t there : {6U, 10U}) {
    request.offset = there;
    EXPECT_EQ(client.call(request, shared(bytes))->offset, there);
  }
  EXPECT_EQ(read_file(dir.file("f")), "othersminemine");
  request.offset = 7;  // something else
  EXPECT_EQ(client.call(request, shared(bytes))->offset, 14U);
  request.offset = 100;  // nothing
  EXPECT_EQ(client.call(request, shared(bytes))->offset, 18U);
  EXPECT_EQ(read_file(dir.file("f")), "othersmineminemine" + std::string("mine"));
}

// What arrives with another hash is not written; what is damaged then is mended here.
TEST_F(FileHandlersTest, AppendsOnce) {
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenWrite | wire::kOpenCreate));
  const Bytes bytes = random_bytes(1000, 1);
  const wire::Append wrong{1, 0, hash::BlockHash{}, false};
  EXPECT_EQ(client.call(wrong, shared(bytes))->hash, hash::block_hash(bytes));
  EXPECT_EQ(read_file(dir.file("f")), "");
  EXPECT_EQ(errno_of(client.call(wire::Append{1, 0, {}, false}, shared(Bytes{}))), EINVAL);
  const wire::Append request{1, 0, hash::block_hash(bytes), false};
  fault::points().damage_block = 2;  // the append, and the first try to mend it
  EXPECT_EQ(client.call(request, shared(bytes))->hash, hash::block_hash(bytes));
  EXPECT_EQ(fault::points().damage_block, 0);
  EXPECT_EQ(read_file(dir.file("f")), as_text(bytes));
}

TEST_F(FileHandlersTest, OpensAnewWhatHasNoName) {
  write_file(dir.file("f"), "kept");
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead));
  ASSERT_TRUE(client.call(wire::Unlink{"f"}));
  ASSERT_TRUE(client.call(wire::Open{2, "", wire::kOpenWrite, 0, 1}));
  EXPECT_TRUE(write_block(client, 2, 0, as_bytes("K")));
  EXPECT_EQ(client.call(wire::GetAttr{{1, ""}})->size, 4U);
  EXPECT_EQ(errno_of(client.call(wire::Open{3, "", wire::kOpenRead, 0, 99})), EBADF);
}

TEST_F(FileHandlersTest, RefusesWrongFlagsAndSizes) {
  write_file(dir.file("f"), "x");
  EXPECT_EQ(errno_of(open_file(client, 0, "f", wire::kOpenRead)), EINVAL);
  uint32_t handle = 10;
  for (const uint32_t flags :
       {0U, 128U | wire::kOpenRead, wire::kOpenTruncate | wire::kOpenRead,
        wire::kOpenCreate | wire::kOpenRead, wire::kOpenDirectory | wire::kOpenWrite}) {
    EXPECT_EQ(errno_of(open_file(client, ++handle, "f", flags)), EINVAL) << flags;
  }
  EXPECT_EQ(errno_of(open_file(client, 30, "g", wire::kOpenWrite | wire::kOpenCreate, 0100644)),
            EINVAL);
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead | wire::kOpenWrite));
  EXPECT_EQ(errno_of(open_file(client, 1, "f", wire::kOpenRead)), EINVAL);  // in use
  EXPECT_EQ(errno_of(client.call(wire::Read{1, 0, wire::kBlockSize + 1})), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::Read{1, UINT64_MAX, 1})), EINVAL);
  EXPECT_EQ(errno_of(write_block(client, 1, 0, {})), EINVAL);
  EXPECT_EQ(errno_of(write_block(client, 1, 0, Bytes(wire::kBlockSize + 1))), EINVAL);
  EXPECT_EQ(errno_of(write_block(client, 1, UINT64_MAX, Bytes(1))), EFBIG);
  EXPECT_EQ(errno_of(client.call(wire::ReadDir{1, false})), ENOTDIR);
}

TEST_F(FileHandlersTest, GivesTheTrueErrno) {
  write_file(dir.file("f"), "x");
  ASSERT_EQ(::symlink("f", dir.file("link").c_str()), 0);
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0644), 0);
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  EXPECT_EQ(errno_of(open_file(client, 1, "missing", wire::kOpenRead)), ENOENT);
  EXPECT_EQ(errno_of(open_file(client, 2, "link", wire::kOpenRead)), ELOOP);
  EXPECT_EQ(errno_of(open_file(client, 3, "fifo", wire::kOpenRead)), EOPNOTSUPP);  // does not hang
  EXPECT_EQ(errno_of(open_file(client, 4, "d", wire::kOpenWrite)), EISDIR);
  EXPECT_EQ(errno_of(open_file(client, 5, "f", wire::kOpenDirectory)), ENOTDIR);
  EXPECT_EQ(errno_of(open_file(client, 6, "f/x", wire::kOpenRead)), ENOTDIR);
  ASSERT_TRUE(open_file(client, 7, "f", wire::kOpenRead));
  EXPECT_EQ(errno_of(write_block(client, 7, 0, as_bytes("x"))), EBADF);
  ASSERT_TRUE(open_file(client, 8, "d", wire::kOpenDirectory));
  EXPECT_EQ(errno_of(client.call(wire::Read{8, 0, 1})), EISDIR);
}

TEST_F(FileHandlersTest, ListsADirectoryInPages) {
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  std::multiset<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string name = concat("entry-with-a-longer-name-", i);
    expected.insert(name);
    write_file(dir.file("d/" + name), "");
  }
  ASSERT_TRUE(client.call(wire::Init{1, "d/f", {}}));  // its staging file is not listed
  ASSERT_TRUE(open_file(client, 1, "d", wire::kOpenDirectory));
  EXPECT_EQ(list(1, false), expected);
  EXPECT_TRUE(list(1, false).empty());  // at the end
  write_file(dir.file("d/another"), "");
  expected.insert("another");
  EXPECT_EQ(list(1, true), expected);
}

TEST_F(FileHandlersTest, ListsTheRoot) {
  write_file(dir.file("f"), "xyz");
  ASSERT_TRUE(open_file(client, 1, "", wire::kOpenDirectory));
  const auto page = client.call(wire::ReadDir{1, false});
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->end);
  ASSERT_EQ(page->entries.size(), 1U);
  EXPECT_EQ(page->entries[0].attr, *client.call(wire::GetAttr{{0, "f"}}));
}

TEST_F(FileHandlersTest, DigestsRegularFiles) {
  const Bytes content = random_bytes(3 * wire::kBlockSize + 7, 1);
  write_file(dir.file("f"), as_text(content));
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0644), 0);
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead));
  for (const wire::Target& target : {wire::Target{0, "f"}, wire::Target{1, ""}}) {
    const auto answer = client.call(wire::Digest{target});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->size, content.size());
    EXPECT_EQ(answer->sha256, hash::sha256(content));
  }
  EXPECT_EQ(errno_of(client.call(wire::Digest{{0, "d"}})), EISDIR);
  EXPECT_EQ(errno_of(client.call(wire::Digest{{0, "fifo"}})), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::Digest{{0, "missing"}})), ENOENT);
}

TEST_F(FileHandlersTest, ComparesChunks) {
  const Bytes content = random_bytes(100000, 1);
  write_file(dir.file("f"), as_text(content));
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead | wire::kOpenWrite));
  const auto chunk = [&](size_t offset, uint32_t size) {
    return wire::ChunkAt{hash::block_hash(ByteSpan(content).subspan(offset, size)), size};
  };
  const auto compare = [&](uint64_t offset, std::vector<wire::ChunkAt> chunks) {
    const auto answer = client.call(wire::Compare{1, offset, std::move(chunks)});
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer ? answer->equal : Bytes{99};
  };
  EXPECT_EQ(compare(0, {}), Bytes{});
  EXPECT_EQ(compare(0, {chunk(0, 100000)}), Bytes{1});
  EXPECT_EQ(compare(500, {chunk(500, 100), chunk(700, 1000), chunk(1600, 1)}), (Bytes{1, 0, 1}));
  EXPECT_EQ(compare(99000, {chunk(99000, 1000)}), Bytes{1});
  EXPECT_EQ(compare(99001, {chunk(99000, 1000)}), Bytes{0});  // ends too early
  EXPECT_EQ(compare(1ULL << 40U, {chunk(0, 10)}), Bytes{0});
  ASSERT_TRUE(write_block(client, 1, 50, as_bytes("changed")));
  EXPECT_EQ(compare(0, {chunk(0, 50), chunk(50, 50), chunk(100, 50)}), (Bytes{1, 0, 1}));
  EXPECT_EQ(compare(0, std::vector<wire::ChunkAt>(256, chunk(0, 1))).size(), 256U);
}

TEST_F(FileHandlersTest, RefusesToCompareTooMuch) {
  write_file(dir.file("f"), std::string(2000, 'x'));
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead));
  ASSERT_TRUE(open_file(client, 2, "d", wire::kOpenDirectory));
  const auto compare = [&](uint32_t handle, uint64_t offset, std::vector<wire::ChunkAt> chunks) {
    return errno_of(client.call(wire::Compare{handle, offset, std::move(chunks)}));
  };
  const wire::ChunkAt one{hash::block_hash(as_bytes("x")), 1};
  EXPECT_EQ(compare(1, 0, std::vector<wire::ChunkAt>(257, one)), EINVAL);
  EXPECT_EQ(compare(1, 0, {{{}, wire::kBlockSize + 1}}), EINVAL);
  EXPECT_EQ(compare(1, 0, {{{}, wire::kBlockSize}}), 0);
  EXPECT_EQ(compare(1, 0, {{{}, wire::kBlockSize}, one}), EINVAL);
  EXPECT_EQ(compare(1, 0, {one, {{}, UINT32_MAX}}), EINVAL);
  EXPECT_EQ(compare(1, UINT64_MAX, {one}), EINVAL);
  EXPECT_EQ(compare(1, UINT64_MAX, {one, one}), EINVAL);  // no wrapping to the start
  EXPECT_EQ(compare(3, 0, {one}), EBADF);
  EXPECT_EQ(compare(2, 0, {one}), EISDIR);
  EXPECT_TRUE(client.call(wire::Ping{}));
}

}  // namespace
}  // namespace cpaway::testing
