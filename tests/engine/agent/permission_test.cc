// What an agent without privilege may not do, and says truly.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/engine/agent/upload_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

constexpr uint32_t kUser = 54321;

class PermissionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "needs root, to be somebody else";
    }
    client.emplace(agent::Options{}, kUser);
    ASSERT_TRUE(client->hello(dir.path()));
    make_dir("mine", 0755, kUser);
    make_dir("others", 0755, 0);
  }
  void make_dir(const std::string& name, mode_t mode, uid_t owner) {
    ASSERT_EQ(::mkdir(dir.file(name).c_str(), 0700), 0);
    ASSERT_EQ(::chown(dir.file(name).c_str(), owner, owner), 0);
    ASSERT_EQ(::chmod(dir.file(name).c_str(), mode), 0);
  }
  void make_file(const std::string& name, mode_t mode, uid_t owner) {
    write_file(dir.file(name), "old");
    ASSERT_EQ(::chown(dir.file(name).c_str(), owner, owner), 0);
    ASSERT_EQ(::chmod(dir.file(name).c_str(), mode), 0);
  }
  uint8_t access(const std::string& name) {
    return client->call(wire::GetAttr{{0, name}}).value().access &
           static_cast<uint8_t>(~wire::kNoXattrs);
  }

  const TempDir dir;
  std::optional<AgentClient> client;
};

TEST_F(PermissionTest, RefusesWithEacces) {
  make_file("others/secret", 0600, 0);
  wire::PutFile put;
  put.sha256 = hash::sha256(as_bytes("x"));
  put.placement = place_at("others/new");
  EXPECT_EQ(errno_of(client->call(put, shared("x"))), EACCES);
  EXPECT_EQ(errno_of(client->call(wire::Init{1, "others/secret", {}})), EACCES);
  EXPECT_EQ(errno_of(open_file(*client, 1, "others/secret", wire::kOpenRead)), EACCES);
  EXPECT_EQ(errno_of(client->call(wire::Unlink{"others/secret"})), EACCES);
  EXPECT_EQ(errno_of(client->call(wire::Digest{{0, "others/secret"}})), EACCES);
  wire::SetAttr mode;
  mode.mode = 0666;
  EXPECT_EQ(errno_of(client->call(wire::SetAttrRequest{{0, "others/secret"}, mode})), EPERM);
}

TEST_F(PermissionTest, AccessIsThatOfTheAgentsUser) {
  make_file("others/read", 0644, 0);
  make_file("others/none", 0600, 0);
  make_file("mine/write", 0200, kUser);
  make_file("mine/run", 0500, kUser);
  EXPECT_EQ(access("others/read"), wire::kMayRead);
  EXPECT_EQ(access("others/none"), 0);
  EXPECT_EQ(access("mine/write"), wire::kMayWrite);
  EXPECT_EQ(access("mine/run"), wire::kMayRead | wire::kMayExecute);
  EXPECT_EQ(access("others"), wire::kMayRead | wire::kMayExecute);
}

TEST_F(PermissionTest, WritesWhatItMayNotRead) {
  make_file("mine/f", 0200, kUser);
  ASSERT_TRUE(open_file(*client, 1, "mine/f", wire::kOpenWrite));
  const auto answer = write_block(*client, 1, 0, as_bytes("new"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->hash, hash::block_hash(as_bytes("new")));
  EXPECT_EQ(read_file(dir.file("mine/f")), "new");
  EXPECT_TRUE(client->call(wire::FSync{{0, "mine/f"}, false}));
  EXPECT_EQ(errno_of(open_file(*client, 2, "mine/f", wire::kOpenWrite | wire::kOpenRead)), EACCES);
}

TEST_F(PermissionTest, ListsADirectoryThatMayNotBeSearched) {
  make_file("mine/f", 0644, kUser);
  ASSERT_EQ(::chmod(dir.file("mine").c_str(), 0400), 0);
  ASSERT_TRUE(open_file(*client, 1, "mine", wire::kOpenDirectory));
  const auto page = client->call(wire::ReadDir{1, false});
  ASSERT_TRUE(page);
  ASSERT_EQ(page->entries.size(), 1U);
  EXPECT_EQ(page->entries[0].name, "f");
  EXPECT_NE(page->entries[0].attr.ino, 0U);
  EXPECT_EQ(page->entries[0].attr.nlink, 0U);
}

// A file of another's in one's own directory may be replaced, and is one's own then.
TEST_F(PermissionTest, ReplacesAnothersFileAsRenameWould) {
  make_file("mine/f", 06755, 0);
  const auto answer = upload(*client, 1, place_at("mine/f"), as_bytes("new"));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->attr.uid, kUser);
  EXPECT_EQ(answer->attr.gid, kUser);
  EXPECT_EQ(answer->attr.mode, 0100755U);  // no set-user-id of another's bytes
}

// Its attributes cannot be changed where it is, so an identical file is replaced, too.
TEST_F(PermissionTest, ReplacesAnothersIdenticalFile) {
  for (const mode_t mode : {0644, 06755}) {
    make_file("mine/f", mode, 0);
    UploadClient agent(dir.path(), {}, kUser);
    ASSERT_TRUE(agent.init("mine/f"));
    ASSERT_TRUE(agent.basis(1, "mine/f"));
    ASSERT_TRUE(agent.same(1, 0, as_bytes("old")).value());
    const auto answer = agent.commit(as_bytes("old"), place_at("mine/f"));
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->attr.uid, kUser);
    EXPECT_EQ(answer->attr.mode, 0100000U | (mode & 0777U));
    EXPECT_EQ(read_file(dir.file("mine/f")), "old");
  }
}

// Whatever fails: the old version has its attributes still.
TEST_F(PermissionTest, AnIdenticalCommitThatFailsChangesNothing) {
  make_file("mine/f", 0640, kUser);
  UploadClient agent(dir.path(), {}, kUser);
  ASSERT_TRUE(agent.init("mine/f"));
  ASSERT_TRUE(agent.basis(1, "mine/f"));
  ASSERT_TRUE(agent.same(1, 0, as_bytes("old")).value());
  wire::Placement placement = place_at("mine/f");
  placement.attr.mode = 0777;
  placement.xattrs.push_back({"trusted.note", {1}});  // root's
  EXPECT_NE(errno_of(agent.commit(as_bytes("old"), placement)), 0);
  EXPECT_EQ(stat_of(dir.file("mine/f")).st_mode, 0100640U);
  placement = place_at("mine/f");
  placement.attr.mode = 0777;
  placement.attr.mtime = wire::Time{0, UINT32_MAX};
  EXPECT_EQ(errno_of(agent.commit(as_bytes("old"), placement)), EINVAL);
  EXPECT_EQ(stat_of(dir.file("mine/f")).st_mode, 0100640U);
  placement.attr = {};
  placement.attr.uid = 0;
  EXPECT_EQ(errno_of(agent.commit(as_bytes("old"), placement)), EPERM);
  EXPECT_EQ(stat_of(dir.file("mine/f")).st_uid, kUser);
  EXPECT_EQ(read_file(dir.file("mine/f")), "old");
}

}  // namespace
}  // namespace cpaway::testing
