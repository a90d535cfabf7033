// Commits that find their name taken, and put what they have into the file that is there.
#include "engine/agent/join.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/engine/agent/agent_client.h"
#include "tests/support/random_bytes.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

class JoinTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(client.hello(dir.path())); }
  void TearDown() override { EXPECT_TRUE(staging_in(dir.path()).empty()); }

  static wire::Placement joins(uint8_t how) {
    wire::Placement placement = place_at("f");
    placement.join = how;
    placement.attr.mtime = wire::Time{1234567890, 0};
    return placement;
  }
  Result<wire::CommitAnswer> put(const wire::Placement& placement, std::string_view content) {
    wire::PutFile request;
    request.sha256 = hash::sha256(as_bytes(content));
    request.placement = placement;
    return client.call(request, shared(content));
  }
  // A file of another's, and what has become of it.
  ino_t make_other(std::string_view content) {
    write_file(dir.file("f"), content);
    return stat_of().st_ino;
  }
  [[nodiscard]] struct stat stat_of() const {
    struct stat st {};
    EXPECT_EQ(::lstat(dir.file("f").c_str(), &st), 0);
    return st;
  }
  void expect_joined(const Result<wire::CommitAnswer>& answer, ino_t ino,
                     const std::string& content) const {
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_TRUE(answer->joined);
    EXPECT_EQ(answer->sha256, hash::Sha256Value{});
    EXPECT_EQ(answer->attr.ino, ino);
    EXPECT_EQ(answer->attr.size, content.size());
    EXPECT_EQ(stat_of().st_ino, ino);
    EXPECT_EQ(read_file(dir.file("f")), content);
  }

  const TempDir dir;
  AgentClient client;
};

TEST_F(JoinTest, AFreeNameIsTaken) {
  for (const uint8_t how : {wire::kJoinAppend, wire::kJoinWrite, wire::kJoinEmptied}) {
    const auto answer = put(joins(how), "content");
    ASSERT_TRUE(answer);
    EXPECT_FALSE(answer->joined);
    EXPECT_EQ(answer->sha256, hash::sha256(as_bytes("content")));
    EXPECT_EQ(stat_of().st_mtim.tv_sec, 1234567890);
    ASSERT_EQ(::unlink(dir.file("f").c_str()), 0);
  }
}

TEST_F(JoinTest, AppendsWritesOrEmpties) {
  ino_t ino = make_other("old\n");
  expect_joined(put(joins(wire::kJoinAppend), "new\n"), ino, "old\nnew\n");
  EXPECT_NE(stat_of().st_mtim.tv_sec, 1234567890);
  ino = make_other("old content");
  expect_joined(put(joins(wire::kJoinWrite), "NEW"), ino, "NEW content");
  EXPECT_EQ(stat_of().st_mtim.tv_sec, 1234567890);
  ino = make_other("old");
  expect_joined(put(joins(wire::kJoinWrite), ""), ino, "old");
  expect_joined(put(joins(wire::kJoinEmptied), ""), ino, "");
}

TEST_F(JoinTest, LargeFilesToo) {
  const Bytes content = random_bytes(2 * wire::kBlockSize + 12345, 1);
  ino_t ino = make_other("old");
  expect_joined(upload(client, 1, joins(wire::kJoinAppend), content), ino,
                "old" + std::string(as_text(content)));
  ino = make_other("old");
  expect_joined(upload(client, 2, joins(wire::kJoinWrite), content), ino,
                std::string(as_text(content)));
}

// What was not written is not changed.
TEST_F(JoinTest, HolesLeaveWhatIsThere) {
  const std::string old(3 * wire::kBlockSize, 'o');
  const ino_t ino = make_other(old);
  const Bytes block = random_bytes(wire::kBlockSize, 1);
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(client.call(block_of(1, wire::kBlockSize, block), shared(block)));
  wire::Commit request;
  request.transfer = 1;
  request.size = 4 * wire::kBlockSize;
  request.placement = joins(wire::kJoinWrite);
  std::string expected = old;
  expected.replace(wire::kBlockSize, wire::kBlockSize, as_text(block));
  expected.resize(request.size, '\0');
  expect_joined(client.call(request), ino, expected);
}

TEST_F(JoinTest, ModesThatWereAskedForAreGiven) {
  const ino_t ino = make_other("old");
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0640), 0);
  wire::Placement placement = joins(wire::kJoinAppend);
  placement.create_mode = 0666;
  expect_joined(put(placement, "1"), ino, "old1");
  EXPECT_EQ(stat_of().st_mode, 0100640U);
  placement.attr.mode = 0600;
  expect_joined(put(placement, "2"), ino, "old12");
  EXPECT_EQ(stat_of().st_mode, 0100600U);
}

TEST_F(JoinTest, OnlyRegularFilesAreJoined) {
  ASSERT_EQ(::symlink("elsewhere", dir.file("f").c_str()), 0);
  EXPECT_EQ(errno_of(put(joins(wire::kJoinAppend), "x")), EEXIST);
  ASSERT_EQ(::unlink(dir.file("f").c_str()), 0);
  ASSERT_EQ(::mkfifo(dir.file("f").c_str(), 0600), 0);
  EXPECT_EQ(errno_of(put(joins(wire::kJoinAppend), "x")), EEXIST);
  ASSERT_EQ(::unlink(dir.file("f").c_str()), 0);
  ASSERT_EQ(::mkdir(dir.file("f").c_str(), 0700), 0);
  EXPECT_EQ(errno_of(put(joins(wire::kJoinAppend), "x")), EISDIR);
}

TEST_F(JoinTest, NonsenseIsRefused) {
  wire::Placement placement = joins(wire::kJoinAppend);
  placement.exclusive = true;
  EXPECT_EQ(errno_of(put(placement, "x")), EINVAL);
  EXPECT_EQ(errno_of(put(joins(4), "x")), EINVAL);
}

}  // namespace
}  // namespace cpaway::testing
