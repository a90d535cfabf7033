// Uploads: init, blocks, commit, cancel, and small files.
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <random>

#include "tests/engine/agent/agent_client.h"
#include "tests/support/random_bytes.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

struct stat stat_of(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
  return st;
}

class TransferTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(client.hello(dir.path())); }
  void TearDown() override { EXPECT_TRUE(staging_in(dir.path()).empty() || open_transfers); }

  Result<wire::CommitAnswer> put(const wire::Placement& placement, std::string_view content) {
    wire::PutFile request;
    request.sha256 = hash::sha256(as_bytes(content));
    request.placement = placement;
    return client.call(request, shared(content));
  }
  Result<wire::CommitAnswer> commit(uint32_t transfer, uint64_t size,
                                    std::optional<hash::Sha256Value> sha256,
                                    const wire::Placement& placement) {
    wire::Commit request;
    request.transfer = transfer;
    request.size = size;
    request.sha256 = sha256;
    request.placement = placement;
    return client.call(request);
  }
  Result<wire::Block::Answer> block(uint32_t transfer, uint64_t offset, ByteSpan bytes) {
    return client.call(block_of(transfer, offset, bytes),
                       shared(Bytes(bytes.begin(), bytes.end())));
  }

  const TempDir dir;
  AgentClient client;
  bool open_transfers = false;
};

TEST_F(TransferTest, NewFileArrivesWhole) {
  const Bytes content = random_bytes(2 * wire::kBlockSize + 12345, 1);
  wire::Placement placement = place_at("f");
  placement.create_mode = 0640;
  placement.attr.mtime = wire::Time{1234567890, 987654321};
  const auto answer = upload(client, 1, placement, content);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->sha256, hash::sha256(content));
  EXPECT_EQ(answer->attr.size, content.size());
  EXPECT_EQ(answer->attr.mode, 0100640U);
  EXPECT_EQ(answer->attr.mtime, (wire::Time{1234567890, 987654321}));
  EXPECT_EQ(answer->attr.ino, stat_of(dir.file("f")).st_ino);
  EXPECT_EQ(read_file(dir.file("f")), as_text(content));
  EXPECT_EQ(errno_of(client.call(wire::TransferStatus{1})), EBADF);  // gone
}

TEST_F(TransferTest, OldFileStaysUntilCommit) {
  write_file(dir.file("f"), "old");
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, as_bytes("new content")));
  EXPECT_EQ(read_file(dir.file("f")), "old");
  ASSERT_TRUE(commit(1, 11, hash::sha256(as_bytes("new content")), place_at("f")));
  EXPECT_EQ(read_file(dir.file("f")), "new content");
}

TEST_F(TransferTest, CancelRemovesTheStagingFile) {
  const auto init = client.call(wire::Init{1, "f", {}});
  ASSERT_TRUE(init);
  EXPECT_TRUE(staging_in(dir.path()).empty());  // the first block makes it
  ASSERT_TRUE(block(1, 0, as_bytes("text")));
  EXPECT_EQ(staging_in(dir.path()), std::vector<std::string>{init->staging_name});
  EXPECT_EQ(stat_of(dir.file(init->staging_name)).st_mode, 0100600U);
  ASSERT_TRUE(client.call(wire::Cancel{1, false}));
  EXPECT_TRUE(staging_in(dir.path()).empty());
  EXPECT_EQ(errno_of(client.call(wire::Cancel{1, false})), EBADF);
}

TEST_F(TransferTest, StatusCountsWhatArrived) {
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, Bytes(1000, 'a')));
  ASSERT_TRUE(block(1, 5000, Bytes(500, 'b')));
  const auto status = client.call(wire::TransferStatus{1});
  ASSERT_TRUE(status);
  EXPECT_EQ(status->path, "f");
  EXPECT_EQ(status->bytes_received, 1500U);
  EXPECT_EQ(status->bytes_acknowledged, 1500U);
  EXPECT_EQ(status->size, 5500U);
  EXPECT_EQ(status->bytes_hashed, 1000U);
  ASSERT_TRUE(block(1, 500, Bytes(10, 'c')));  // inside: the running digest starts anew
  EXPECT_EQ(client.call(wire::TransferStatus{1})->bytes_hashed, 0U);
  open_transfers = true;
}

TEST_F(TransferTest, WrongDigestKeepsTheTransferForAnotherTry) {
  write_file(dir.file("f"), "old");
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, as_bytes("wrong")));
  const auto digest = hash::sha256(as_bytes("right"));
  EXPECT_EQ(commit(1, 5, digest, place_at("f")).error().code, Errc::verify);
  EXPECT_EQ(read_file(dir.file("f")), "old");
  ASSERT_TRUE(block(1, 0, as_bytes("right")));
  EXPECT_TRUE(commit(1, 5, digest, place_at("f")));
  EXPECT_EQ(read_file(dir.file("f")), "right");
}

TEST_F(TransferTest, ReadsItsStagingFile) {
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, as_bytes("0123456789")));
  Bytes bulk;
  ASSERT_TRUE(client.call(wire::ReadTransfer{1, 4, 3}, nullptr, &bulk));
  EXPECT_EQ(as_text(bulk), "456");
  ASSERT_TRUE(client.call(wire::ReadTransfer{1, 8, 100}, nullptr, &bulk));
  EXPECT_EQ(as_text(bulk), "89");
  ASSERT_TRUE(client.call(wire::TruncateTransfer{1, 2}));
  ASSERT_TRUE(client.call(wire::ReadTransfer{1, 0, 100}, nullptr, &bulk));
  EXPECT_EQ(as_text(bulk), "01");
  EXPECT_EQ(errno_of(client.call(wire::ReadTransfer{1, 0, wire::kBlockSize + 1})), EINVAL);
  open_transfers = true;
}

// Blocks in any order, written over, with truncations between, end as the same bytes and digest as
// in memory.
TEST_F(TransferTest, DigestFollowsAnyOrderOfWritesAndTruncations) {
  const unsigned seed = testing::random_seed();
  SCOPED_TRACE(concat("seed ", seed));
  std::mt19937 random(seed);
  for (uint32_t transfer = 1; transfer <= 20; ++transfer) {
    Bytes model;
    ASSERT_TRUE(client.call(wire::Init{transfer, "f", {}}));
    for (int step = 0; step < 30; ++step) {
      if (random() % 5 == 0) {
        model.resize(random() % 20000);
        ASSERT_TRUE(client.call(wire::TruncateTransfer{transfer, model.size()}));
        continue;
      }
      const bool appends = random() % 2 == 0;
      const size_t offset = appends ? model.size() : random() % 20000;
      const Bytes bytes = random_bytes(1 + random() % 3000, random());
      model.resize(std::max(model.size(), offset + bytes.size()));
      std::copy(bytes.begin(), bytes.end(), model.begin() + static_cast<ptrdiff_t>(offset));
      ASSERT_TRUE(block(transfer, offset, bytes));
    }
    const auto answer = commit(transfer, model.size(), std::nullopt, place_at("f"));
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->sha256, hash::sha256(model));
    ASSERT_EQ(read_file(dir.file("f")), as_text(model));
  }
}

TEST_F(TransferTest, CommitSetsTheSize) {
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, as_bytes("0123456789")));
  const std::string longer = "0123456789" + std::string(90, '\0');
  EXPECT_TRUE(commit(1, 100, hash::sha256(as_bytes(longer)), place_at("f")));
  EXPECT_EQ(read_file(dir.file("f")), longer);
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, as_bytes("0123456789")));
  EXPECT_TRUE(commit(1, 3, hash::sha256(as_bytes("012")), place_at("f")));
  EXPECT_EQ(read_file(dir.file("f")), "012");
}

TEST_F(TransferTest, ReplacementKeepsOwnerModeAndXattrs) {
  write_file(dir.file("f"), "old");
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0604), 0);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::chown(dir.file("f").c_str(), 1234, 2345), 0);
  }
  const bool xattrs = ::setxattr(dir.file("f").c_str(), "user.note", "kept", 4, 0) == 0;
  for (const bool small : {true, false}) {
    ASSERT_TRUE(small ? put(place_at("f"), "new")
                      : upload(client, 1, place_at("f"), as_bytes("n")));
    const struct stat st = stat_of(dir.file("f"));
    EXPECT_EQ(st.st_mode, 0100604U);
    EXPECT_EQ(st.st_uid, root ? 1234U : ::geteuid());
    EXPECT_EQ(st.st_gid, root ? 2345U : ::getegid());
    char value[16];
    EXPECT_EQ(::getxattr(dir.file("f").c_str(), "user.note", value, sizeof value), xattrs ? 4 : -1);
  }
}

TEST_F(TransferTest, PlacementSetsModeXattrsAndTimes) {
  write_file(dir.file("f"), "old");
  wire::Placement placement = place_at("f");
  placement.attr.mode = 0711;
  placement.attr.atime = wire::Time{1000, 1};
  placement.attr.mtime = wire::Time{2000, 2};
  placement.xattrs.push_back({"user.colour", {'r', 'e', 'd'}});
  const auto answer = put(placement, "new");
  if (!answer && answer.error().os_errno == EOPNOTSUPP) {
    GTEST_SKIP() << "no user xattrs here";
  }
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->attr.mode, 0100711U);
  EXPECT_EQ(answer->attr.atime, (wire::Time{1000, 1}));
  EXPECT_EQ(answer->attr.mtime, (wire::Time{2000, 2}));
  char value[16];
  EXPECT_EQ(::getxattr(dir.file("f").c_str(), "user.colour", value, sizeof value), 3);
}

// Tried on the staging file: commit sets what the placement says, and nothing else.
TEST_F(TransferTest, WhatIsTriedDoesNotCount) {
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  const auto tried = client.call(wire::TryXattr{1, {"user.tried", {'x'}}, false});
  if (!tried) {
    GTEST_SKIP() << "no user xattrs here";
  }
  const auto too_large = client.call(wire::TryXattr{1, {"user.large", Bytes(60'000)}, false});
  EXPECT_TRUE(too_large || errno_of(too_large) == ENOSPC);
  EXPECT_TRUE(client.call(wire::TryGroup{1, ::getegid()}));
  wire::Placement placement = place_at("f");
  placement.xattrs.push_back({"user.kept", {'x'}});
  ASSERT_TRUE(client.call(wire::Commit{1, 0, std::nullopt, false, placement}));
  EXPECT_EQ(::listxattr(dir.file("f").c_str(), nullptr, 0),
            static_cast<ssize_t>(sizeof "user.kept"));
}

TEST_F(TransferTest, WhatIsTriedAndRemovedMakesRoom) {
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  const Bytes value(1000);
  for (int i = 0; i < 100; ++i) {  // ext4 has room for three
    const std::string name = concat("user.tried-", i);
    const auto tried = client.call(wire::TryXattr{1, {name, value}, false});
    if (errno_of(tried) == EOPNOTSUPP) {
      GTEST_SKIP() << "no user xattrs here";
    }
    ASSERT_TRUE(tried) << i << ": " << tried.error().to_string();
    for (int again = 0; again < 2; ++again) {  // as after a lost answer
      EXPECT_TRUE(client.call(wire::TryXattr{1, {name, {}}, true}));
    }
  }
  ASSERT_TRUE(client.call(wire::Commit{1, 0, std::nullopt, false, place_at("f")}));
  EXPECT_EQ(::listxattr(dir.file("f").c_str(), nullptr, 0), 0);
}

TEST_F(TransferTest, AHiddenFileOutlivesItsDirectory) {
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  ASSERT_TRUE(client.call(wire::Init{1, "d/f", {}}));
  ASSERT_TRUE(client.call(wire::HideTransfer{1}));
  ASSERT_TRUE(client.call(wire::RmDir{"d"}));
  const Bytes bytes = random_bytes(1000, 1);
  EXPECT_EQ(client.call(wire::Block{1, 0, hash::block_hash(bytes)}, shared(bytes))->hash,
            hash::block_hash(bytes));
  EXPECT_EQ(client.call(wire::TransferStatus{1})->size, 1000U);
  EXPECT_FALSE(client.call(wire::Commit{1, 1000, std::nullopt, false, place_at("f")}));
}

TEST_F(TransferTest, TheNewVersionIsOpenByAHandle) {
  wire::Placement placement = place_at("f");
  placement.create_mode = 0;
  placement.handle = 9;
  const auto small = put(placement, "small");
  ASSERT_TRUE(small && small->is_open);
  EXPECT_EQ(errno_of(put(placement, "again")), EINVAL);  // in use
  const Bytes bytes{'S'};
  EXPECT_TRUE(client.call(wire::Write{9, 0, hash::block_hash(bytes)}, shared(bytes)));
  EXPECT_EQ(read_file(dir.file("f")), "Small");
  placement.handle = 10;
  const auto large = upload(client, 1, placement, random_bytes(2 * wire::kBlockSize, 1));
  ASSERT_TRUE(large && large->is_open);
  wire::SetAttrRequest cut{{10, {}}, {}};
  cut.attr.size = 3;
  EXPECT_TRUE(client.call(cut));
  EXPECT_EQ(read_file(dir.file("f")).size(), 3U);
  EXPECT_TRUE(client.call(wire::Close{9}) && client.call(wire::Close{10}));
  EXPECT_FALSE(put(place_at("f"), "other")->is_open);
}

// Others may lock it, though it is open for the sync behind.
TEST_F(TransferTest, ACommittedFileIsNotLocked) {
  ASSERT_TRUE(put(place_at("small"), "content"));
  ASSERT_TRUE(upload(client, 1, place_at("large"), random_bytes(9 << 20U, 1)));
  for (const char* name : {"small", "large"}) {
    const UniqueFd fd(::open(dir.file(name).c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::flock(fd.get(), LOCK_EX | LOCK_NB), 0) << name;
  }
}

TEST_F(TransferTest, ExclusiveNeedsAFreeName) {
  write_file(dir.file("f"), "old");
  wire::Placement placement = place_at("f");
  placement.exclusive = true;
  EXPECT_EQ(errno_of(put(placement, "new")), EEXIST);
  EXPECT_EQ(errno_of(upload(client, 1, placement, as_bytes("new"))), EEXIST);
  EXPECT_EQ(read_file(dir.file("f")), "old");
  ASSERT_EQ(::unlink(dir.file("f").c_str()), 0);
  EXPECT_TRUE(commit(1, 3, std::nullopt, placement));  // the failed commit removed nothing
  EXPECT_EQ(read_file(dir.file("f")), "new");
}

TEST_F(TransferTest, CommitsUnderAnotherName) {
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  ASSERT_TRUE(block(1, 0, as_bytes("moved")));
  ASSERT_TRUE(commit(1, 5, std::nullopt, place_at("d/g")));
  EXPECT_EQ(read_file(dir.file("d/g")), "moved");
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"d"});
}

TEST_F(TransferTest, RefusesDirectoriesAndMissingParents) {
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  EXPECT_EQ(errno_of(put(place_at("d"), "x")), EISDIR);
  EXPECT_EQ(errno_of(put(place_at(""), "x")), EISDIR);
  EXPECT_EQ(errno_of(put(place_at("no/f"), "x")), ENOENT);
  EXPECT_EQ(errno_of(client.call(wire::Init{1, "no/f", {}})), ENOENT);
  EXPECT_EQ(errno_of(put(place_at("../f"), "x")), EINVAL);
  EXPECT_EQ(errno_of(client.call(wire::Init{0, "f", {}})), EINVAL);
}

TEST_F(TransferTest, RefusesBlocksOfAnImpossibleSizeOrPlace) {
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  EXPECT_EQ(errno_of(client.call(wire::Init{1, "g", {}})), EINVAL);  // in use
  EXPECT_EQ(errno_of(block(1, 0, {})), EINVAL);
  EXPECT_EQ(errno_of(block(1, 0, Bytes(wire::kBlockSize + 1))), EINVAL);
  EXPECT_EQ(errno_of(block(1, UINT64_MAX - 2, Bytes(10))), EFBIG);
  EXPECT_EQ(errno_of(block(2, 0, Bytes(10))), EBADF);
  EXPECT_EQ(errno_of(client.call(wire::TruncateTransfer{1, UINT64_MAX})), EINVAL);
  wire::Placement placement = place_at("f");
  placement.attr.size = 3;
  EXPECT_EQ(errno_of(commit(1, 0, std::nullopt, placement)), EINVAL);
  placement = place_at("f");
  placement.create_mode = 0100644;
  EXPECT_EQ(errno_of(commit(1, 0, std::nullopt, placement)), EINVAL);
  EXPECT_TRUE(names_in(dir.path()).empty());
  open_transfers = true;
}

TEST_F(TransferTest, EmptyAndDurableFiles) {
  EXPECT_TRUE(put(place_at("empty"), ""));
  EXPECT_TRUE(upload(client, 1, place_at("empty2"), {}));
  wire::PutFile request;
  request.sha256 = hash::sha256(as_bytes("d"));
  request.durable = true;
  request.placement = place_at("durable");
  EXPECT_TRUE(client.call(request, shared("d")));
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"durable", "empty", "empty2"}));
  AgentClient syncing;
  ASSERT_TRUE(syncing.hello(dir.path(), true));
  EXPECT_TRUE(upload(syncing, 1, place_at("synced"), as_bytes("s")));
}

TEST_F(TransferTest, WrongDigestOfASmallFileLeavesNothing) {
  wire::PutFile request;
  request.placement = place_at("f");
  EXPECT_EQ(client.call(request, shared("text")).error().code, Errc::verify);
  EXPECT_TRUE(names_in(dir.path()).empty());
}

}  // namespace
}  // namespace cpaway::testing
