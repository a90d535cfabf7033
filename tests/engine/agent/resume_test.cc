// Staging files that stay when an upload is cut, and the next upload that goes on with them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "engine/base/fd.h"
#include "engine/delta/chunker.h"
#include "engine/wire/names.h"
#include "tests/engine/agent/upload_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

using wire::kStagingBasis;

class ResumeTest : public ::testing::Test {
 protected:
  // An upload of "f" that is cut behind `front`.
  void leave(ByteSpan front) {
    UploadClient cut(dir.path());
    ASSERT_TRUE(cut.init());
    ASSERT_TRUE(cut.block(0, front).value());
    cut.finish();
    ASSERT_EQ(read_file(staging), as_text(front));
  }
  // True where a lock can be had, that is nobody has one.
  [[nodiscard]] static bool is_free(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
  }

  const TempDir dir;
  const std::string name = wire::staging_name_of("f");
  const std::string staging = dir.file(name);
  const Bytes content = random_bytes(300000, 1);
};

TEST_F(ResumeTest, AnEmptyTransferMakesNoFile) {
  UploadClient agent(dir.path());
  EXPECT_EQ(agent.init()->staging_name, name);
  EXPECT_TRUE(agent.cancel(true));
  EXPECT_TRUE(agent.init());
  EXPECT_TRUE(staging_in(dir.path()).empty());
  agent.finish();
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(ResumeTest, CancelLeavesTheFileOnlyIfAsked) {
  UploadClient agent(dir.path());
  for (const bool keep : {true, false}) {
    ASSERT_TRUE(agent.init());
    ASSERT_TRUE(agent.block(0, content).value());
    ASSERT_TRUE(agent.cancel(keep));
    EXPECT_EQ(staging_in(dir.path()).size(), keep ? 1U : 0U);
  }
  leave(content);
  ASSERT_TRUE(agent.init());  // a kept one goes, too
  ASSERT_TRUE(agent.cancel(false));
  EXPECT_TRUE(staging_in(dir.path()).empty());
  leave(content);
  ASSERT_TRUE(agent.init());
  agent.finish();  // and stays where nothing was done to it
  EXPECT_EQ(read_file(staging), as_text(content));
}

TEST_F(ResumeTest, GoesOnWithWhatWasKept) {
  leave(content);
  UploadClient agent(dir.path());
  const auto init = agent.init();
  ASSERT_TRUE(init);
  EXPECT_EQ(init->staging_name, name);
  EXPECT_EQ(init->kept_size, content.size());
  hash::ChunkList expected;
  static_cast<void>(delta::append_chunks(content, true, delta::ChunkSizes{}, expected));
  EXPECT_EQ(agent.chunks({kUpload, kStagingBasis, 0, wire::ListChunks::kMaxSize, 4096, 8192, 65536})
                .value(),
            expected);
  const struct stat before = stat_of(staging);
  ASSERT_TRUE(agent.same(kStagingBasis, 0, content).value());
  const struct stat after = stat_of(staging);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
  EXPECT_EQ(agent.client().call(wire::TransferStatus{kUpload})->bytes_hashed, content.size());
  const Bytes more = random_bytes(1000, 2);
  ASSERT_TRUE(agent.block(content.size(), more).value());
  const Bytes whole = joined(content, more);
  ASSERT_TRUE(agent.commit(whole));
  EXPECT_EQ(read_file(dir.file("f")), as_text(whole));
  EXPECT_EQ(stat_of(dir.file("f")).st_ino, before.st_ino);
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(ResumeTest, CopiesWithinTheKeptFile) {
  leave(content);
  UploadClient agent(dir.path());
  ASSERT_TRUE(agent.init());
  const ByteSpan moved = ByteSpan(content).subspan(1000, 2000);
  ASSERT_TRUE(agent.delta(0, moved, {{kStagingBasis, 2000, 1000}}).value());
  // What was there before is gone, as the answer says.
  EXPECT_FALSE(agent.same(kStagingBasis, 0, ByteSpan(content).first(2000)).value());
  ASSERT_TRUE(agent.commit(moved));
  EXPECT_EQ(read_file(dir.file("f")), as_text(moved));
}

// The hash of zeros is right where the kept file is too short; its end is not.
TEST_F(ResumeTest, ZerosBehindTheKeptFileAreWritten) {
  leave(as_bytes("text"));
  UploadClient agent(dir.path());
  ASSERT_TRUE(agent.init());
  const Bytes wanted = joined(as_bytes("text"), Bytes(100));
  ASSERT_TRUE(agent.same(kStagingBasis, 0, wanted).value());
  EXPECT_EQ(agent.read(0, 1000).value(), wanted);
  ASSERT_TRUE(agent.commit(wanted));
  EXPECT_EQ(read_file(dir.file("f")), as_text(wanted));
}

TEST_F(ResumeTest, AKeptFileMayBeOfNoUse) {
  leave(content);
  UploadClient agent(dir.path());
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.truncate(0));
  ASSERT_TRUE(agent.block(100, as_bytes("text")).value());
  ASSERT_TRUE(agent.commit(joined(Bytes(100), as_bytes("text"))));
  leave(content);
  write_file(dir.file("f"), as_text(content));
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.basis(1, "f"));
  ASSERT_TRUE(agent.same(1, 0, content).value());
  const ino_t ino = stat_of(dir.file("f")).st_ino;
  ASSERT_TRUE(agent.commit(content));  // identical to what has the name
  EXPECT_EQ(stat_of(dir.file("f")).st_ino, ino);
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(ResumeTest, AnotherTargetHasAnotherFile) {
  leave(content);
  UploadClient agent(dir.path());
  EXPECT_EQ(agent.init("g")->kept_size, 0U);
  ASSERT_TRUE(agent.cancel(false));
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  EXPECT_EQ(agent.init("d/f")->kept_size, 0U);
  ASSERT_TRUE(agent.cancel(false));
  EXPECT_EQ(read_file(staging), as_text(content));
}

// ---- the name, after a lost connection

TEST_F(ResumeTest, FindsTheFileByName) {
  leave(content);
  UploadClient agent(dir.path());
  const auto init = agent.init("f", name);
  ASSERT_TRUE(init);
  EXPECT_EQ(init->staging_name, name);
  EXPECT_EQ(init->kept_size, content.size());
  ASSERT_TRUE(agent.commit(content));  // all of it was acknowledged before
  EXPECT_EQ(read_file(dir.file("f")), as_text(content));
}

TEST_F(ResumeTest, SaysThatTheFileIsGone) {
  UploadClient agent(dir.path());
  EXPECT_EQ(errno_of(agent.init("f", name)), ENOENT);
  EXPECT_EQ(errno_of(agent.block(0, content)), ENOENT);
  EXPECT_TRUE(agent.cancel(true));
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(ResumeTest, TakesNoOtherName) {
  write_file(dir.file("precious"), "text");
  ASSERT_EQ(::mkdir(dir.file("d").c_str(), 0755), 0);
  write_file(dir.file("d/" + name), "text");
  UploadClient agent(dir.path());
  for (const std::string& other :
       {std::string("precious"), "./" + name, "d/" + name, "../" + name,
        std::string(".cpaway-0123456789ABCDEF.part"), name + "x", name.substr(1)}) {
    EXPECT_EQ(errno_of(agent.init("f", other)), EINVAL) << other;
    ASSERT_TRUE(agent.cancel(false));
  }
  EXPECT_EQ(read_file(dir.file("precious")), "text");
  EXPECT_EQ(read_file(dir.file("d/" + name)), "text");
}

// ---- two at the same time

TEST_F(ResumeTest, DoesNotTakeTheFileOfALiveTransfer) {
  UploadClient first(dir.path());
  ASSERT_TRUE(first.init());
  ASSERT_TRUE(first.block(0, content).value());
  EXPECT_FALSE(is_free(staging));
  UploadClient second(dir.path());
  const auto init = second.init();
  ASSERT_TRUE(init);
  EXPECT_NE(init->staging_name, name);
  EXPECT_TRUE(wire::is_staging_name(init->staging_name));
  EXPECT_EQ(init->kept_size, 0U);
  ASSERT_TRUE(second.block(0, as_bytes("second")).value());
  EXPECT_EQ(staging_in(dir.path()).size(), 2U);
  ASSERT_TRUE(first.commit(content));
  EXPECT_EQ(read_file(dir.file("f")), as_text(content));
  ASSERT_TRUE(second.commit(as_bytes("second")));
  EXPECT_EQ(read_file(dir.file("f")), "second");
  EXPECT_TRUE(staging_in(dir.path()).empty());
}

TEST_F(ResumeTest, TwoThatBeginWithoutAFileDoNotShareOne) {
  UploadClient first(dir.path());
  UploadClient second(dir.path());
  ASSERT_TRUE(first.init());
  ASSERT_TRUE(second.init());
  ASSERT_TRUE(first.block(0, as_bytes("first")).value());
  ASSERT_TRUE(second.block(0, as_bytes("second")).value());
  EXPECT_EQ(staging_in(dir.path()).size(), 2U);
  ASSERT_TRUE(second.commit(as_bytes("second")));
  ASSERT_TRUE(first.commit(as_bytes("first")));
  EXPECT_EQ(read_file(dir.file("f")), "first");
}

// The agent that has it has lost its client, but does not know it yet.
TEST_F(ResumeTest, TakesALockedFileByName) {
  UploadClient lost(dir.path());
  ASSERT_TRUE(lost.init());
  ASSERT_TRUE(lost.block(0, content).value());
  UploadClient agent(dir.path());
  EXPECT_EQ(agent.init("f", name)->kept_size, content.size());
  ASSERT_TRUE(agent.same(kStagingBasis, 0, content).value());
  lost.finish();
  ASSERT_TRUE(agent.block(content.size(), as_bytes("more")).value());
  EXPECT_FALSE(is_free(staging)) << "the lock is the new transfer's, as soon as it can be had";
  UploadClient third(dir.path());
  EXPECT_NE(third.init()->staging_name, name);
  ASSERT_TRUE(agent.commit(joined(content, as_bytes("more"))));
  EXPECT_EQ(read_file(dir.file("f")), as_text(joined(content, as_bytes("more"))));
}

// One commits again and again, one tries to find what it has not left: whatever the order of their
// steps, the second one never writes into a file that has its name.
TEST_F(ResumeTest, NeverTakesAFileThatWasCommittedMeanwhile) {
  constexpr int kRounds = 300;
  std::atomic<bool> done{false};
  std::thread other([&] {
    UploadClient agent(dir.path());
    while (!done) {
      EXPECT_TRUE(agent.init());
      EXPECT_TRUE(agent.block(0, as_bytes("garbage")).value_or(false));
      EXPECT_TRUE(agent.cancel(false));
    }
  });
  UploadClient agent(dir.path());
  for (int i = 0; i < kRounds && !HasFailure(); ++i) {
    const std::string text = concat("version ", i);
    EXPECT_TRUE(agent.init());
    EXPECT_TRUE(agent.truncate(0));
    EXPECT_TRUE(agent.block(0, as_bytes(text)).value_or(false));
    const auto answer = agent.commit(as_bytes(text));
    EXPECT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(read_file(dir.file("f")), text);
    EXPECT_EQ(stat_of(dir.file("f")).st_mode, 0100644U);
  }
  done = true;
  other.join();
}

// ---- what is no kept file of ours

class ForeignStagingTest : public ResumeTest {
 protected:
  // Neither init takes what has the name, and an upload gets by without it.
  void expect_not_taken(int named_errno) {
    UploadClient agent(dir.path());
    EXPECT_EQ(errno_of(agent.init("f", name)), named_errno);
    ASSERT_TRUE(agent.cancel(false));
    const auto init = agent.init();
    ASSERT_TRUE(init) << init.error().to_string();
    EXPECT_NE(init->staging_name, name);
    EXPECT_EQ(init->kept_size, 0U);
    ASSERT_TRUE(agent.block(0, content).value());
    ASSERT_TRUE(agent.commit(content));
    EXPECT_EQ(read_file(dir.file("f")), as_text(content));
    EXPECT_EQ(staging_in(dir.path()), std::vector<std::string>{name});
  }
};

TEST_F(ForeignStagingTest, ASymbolicLink) {
  write_file(dir.file("precious"), "text", 0640);
  for (const char* to : {"precious", "missing"}) {
    ASSERT_EQ(::symlink(to, staging.c_str()), 0);
    expect_not_taken(EPERM);
    ASSERT_EQ(::unlink(staging.c_str()), 0);
  }
  EXPECT_EQ(read_file(dir.file("precious")), "text");
  EXPECT_EQ(stat_of(dir.file("precious")).st_mode, 0100640U);
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"f", "precious"}));
}

TEST_F(ForeignStagingTest, AFifoIsNotEvenOpened) {
  ASSERT_EQ(::mkfifo(staging.c_str(), 0600), 0);
  const UniqueFd reader(::open(staging.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(reader);
  expect_not_taken(EPERM);
  pollfd opened{reader.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&opened, 1, 0), 0) << "there was a writer";
}

TEST_F(ForeignStagingTest, ADirectory) {
  ASSERT_EQ(::mkdir(staging.c_str(), 0755), 0);
  expect_not_taken(EPERM);
  EXPECT_EQ(stat_of(staging).st_mode, 040755U);
}

TEST_F(ForeignStagingTest, ASecondNameOfAFile) {
  write_file(dir.file("precious"), "text", 0640);
  ASSERT_EQ(::link(dir.file("precious").c_str(), staging.c_str()), 0);
  expect_not_taken(EPERM);
  EXPECT_EQ(read_file(dir.file("precious")), "text");
  EXPECT_EQ(stat_of(dir.file("precious")).st_mode, 0100640U);
}

// Not by root either: its owner may have it open, and write to it later.
TEST_F(ForeignStagingTest, AnotherUsersFile) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root, to make a file of somebody else's";
  }
  write_file(staging, "text", 0666);
  ASSERT_EQ(::chmod(staging.c_str(), 0666), 0);
  ASSERT_EQ(::chown(staging.c_str(), 54321, 54321), 0);
  expect_not_taken(EPERM);
  EXPECT_EQ(read_file(staging), "text");
  EXPECT_EQ(stat_of(staging).st_mode, 0100666U);
  EXPECT_EQ(stat_of(staging).st_uid, 54321U);
}

// An agent that was killed in its commit has given the file its attributes, but not its name.
TEST_F(ResumeTest, CleansWhatACutCommitHasLeft) {
  leave(content);
  ASSERT_EQ(::chmod(staging.c_str(), 04755), 0);
  const bool xattrs = has_user_xattrs(dir.path());
  if (xattrs) {
    ASSERT_EQ(::setxattr(staging.c_str(), "user.note", "x", 1, 0), 0);
  }
  UploadClient agent(dir.path());
  EXPECT_EQ(agent.init()->kept_size, content.size());
  EXPECT_EQ(stat_of(staging).st_mode, 0100600U);
  ASSERT_TRUE(agent.same(kStagingBasis, 0, content).value());
  ASSERT_TRUE(agent.commit(content));
  EXPECT_EQ(stat_of(dir.file("f")).st_mode, 0100644U);
  char value[16];
  EXPECT_EQ(::getxattr(dir.file("f").c_str(), "user.note", value, sizeof value), -1);
}

TEST_F(ResumeTest, NeedsADirectoryThatMayBeWritten) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root, to be somebody else";
  }
  UploadClient agent(dir.path(), {}, 54321);
  EXPECT_EQ(errno_of(agent.init()), EACCES);
}

}  // namespace
}  // namespace cpaway::testing
