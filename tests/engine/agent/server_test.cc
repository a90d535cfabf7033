#include "engine/agent/server.h"

#include <gtest/gtest.h>

#include "engine/base/clock.h"
#include "engine/base/fault.h"
#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

// Faults are read when a server starts; none outlives the test.
class Fault {
 public:
  explicit Fault(std::string_view spec) { EXPECT_TRUE(fault::parse(spec)); }
  ~Fault() {
    fault::points().damage_block = 0;
    fault::points().delay_reply_ms = 0;
  }
};

TEST(Server, AnswersHelloWithDirectoryAndRoot) {
  const TempDir dir;
  AgentClient client;
  const auto answer = client.hello(dir.path());
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->version, wire::kVersion);
  EXPECT_EQ(answer->features, 0U);
  EXPECT_EQ(answer->agent_version, CPAWAY_VERSION);
  EXPECT_EQ(answer->directory, dir.path());
  EXPECT_EQ(answer->root.mode, 040755U);
  EXPECT_EQ(answer->root.access & ~wire::kNoXattrs,
            wire::kMayRead | wire::kMayWrite | wire::kMayExecute);
  EXPECT_TRUE(client.finish());
}

TEST(Server, WaitsForAnotherHelloWhereTheDirectoryCannotBeOpened) {
  const TempDir dir;
  write_file(dir.file("plain"), "x");
  AgentClient client;
  EXPECT_EQ(errno_of(client.hello(dir.file("missing"))), ENOENT);
  EXPECT_EQ(errno_of(client.hello(dir.file("plain"))), ENOTDIR);
  EXPECT_TRUE(client.hello(dir.path()));
}

TEST(Server, RefusesAClientOfAnotherVersion) {
  AgentClient client;
  wire::Hello hello;
  hello.min_version = wire::kVersion + 1;
  hello.max_version = wire::kVersion + 3;
  const auto answer = client.call(hello);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::version);
  EXPECT_EQ(client.finish().error().code, Errc::version);
}

TEST(Server, SpeaksWithANewerClientThatKnowsItsVersion) {
  AgentClient client;
  wire::Hello hello;
  hello.max_version = wire::kVersion + 3;
  hello.features = ~0ULL;
  const auto answer = client.call(hello);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->version, wire::kVersion);
  EXPECT_EQ(answer->features, 0U);
}

// Each ends the connection with Errc::protocol.
TEST(Server, EndsOnWhatNoClientMaySend) {
  const auto ends = [](bool after_hello, const wire::Frame& frame) {
    const TempDir dir;
    AgentClient client;
    if (after_hello) {
      EXPECT_TRUE(client.hello(dir.path()));
    }
    client.send_frame(frame);
    const Status status = client.finish();
    return !status && status.error().code == Errc::protocol;
  };
  wire::Hello bad_magic;
  bad_magic.magic = 0x12345678;
  wire::Hello bad_range;
  bad_range.min_version = 2;
  bad_range.max_version = 1;
  EXPECT_TRUE(ends(false, wire::pack(1, wire::Ping{})));  // before hello
  EXPECT_TRUE(ends(false, wire::pack(1, bad_magic)));
  EXPECT_TRUE(ends(false, wire::pack(1, bad_range)));
  EXPECT_TRUE(ends(true, wire::pack(1, wire::Hello{})));  // a second hello
  EXPECT_TRUE(ends(true, wire::pack_as(wire::Op::reply, 1, wire::Empty{})));
  EXPECT_TRUE(ends(true, wire::pack_as(wire::Op::ack, 1, wire::Empty{})));
  EXPECT_TRUE(ends(true, {{0, 0, 0, 3, 0x02, 0, 0, 0}, nullptr}));     // too small for an id
  EXPECT_TRUE(ends(true, {{0xff, 0, 0, 0, 0x02}, nullptr}));           // too large
  EXPECT_TRUE(ends(true, {{0, 0, 0, 4, 0x7f, 0, 0, 0, 1}, nullptr}));  // unknown operation
}

TEST(Server, AnswersAMalformedRequestAndGoesOn) {
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  client.send_frame(wire::pack_as(wire::Op::mkdir, 900, wire::Empty{}));  // fields missing
  const auto short_one = client.wait_for<wire::MkDir>(900);
  ASSERT_FALSE(short_one);
  EXPECT_EQ(short_one.error().code, Errc::protocol);
  client.send_frame(wire::pack(901, wire::Ping{}, shared("bytes that no ping has")));
  EXPECT_EQ(client.wait_for<wire::Ping>(901).error().code, Errc::protocol);
  EXPECT_TRUE(client.call(wire::Ping{}));
  EXPECT_TRUE(client.finish());
}

TEST(Server, RunsWhatWasSentBehindOpenAndInitWithoutWaiting) {
  const TempDir dir;
  write_file(dir.file("f"), "content");
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  client.send(wire::Open{7, "f", wire::kOpenRead, 0});
  const uint32_t read = client.send(wire::Read{7, 3, 100});
  const uint32_t close = client.send(wire::Close{7});
  Bytes bulk;
  EXPECT_TRUE(client.wait_for<wire::Read>(read, &bulk));
  EXPECT_EQ(as_text(bulk), "tent");
  EXPECT_TRUE(client.wait_for<wire::Close>(close));
  EXPECT_EQ(errno_of(client.call(wire::Read{7, 0, 1}, nullptr, &bulk)), EBADF);
}

TEST(Server, GivesTheErrorOfAFailedOpenOrInitToWhatFollows) {
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  client.send(wire::Open{7, "missing", wire::kOpenRead, 0});
  const uint32_t read = client.send(wire::Read{7, 0, 10});
  client.send(wire::Init{9, "no/such/file", {}});
  const Bytes bytes(10);
  const uint32_t block = client.send(block_of(9, 0, bytes), shared(bytes));
  EXPECT_EQ(errno_of(client.wait_for<wire::Read>(read)), ENOENT);
  EXPECT_EQ(errno_of(client.wait_for<wire::Block>(block)), ENOENT);
  // The ids are free again after close and cancel.
  EXPECT_TRUE(client.call(wire::Close{7}));
  EXPECT_TRUE(client.call(wire::Cancel{9, false}));
  EXPECT_TRUE(client.call(wire::Init{9, "f", {}}));
  EXPECT_EQ(errno_of(client.call(wire::Close{7})), EBADF);
}

TEST(Server, KeepsTheOrderOfOneTransferAmongMany) {
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  constexpr uint32_t kTransfers = 8;
  std::vector<uint32_t> commits;
  for (uint32_t t = 1; t <= kTransfers; ++t) {
    client.send(wire::Init{t, concat("f", t), {}});
    wire::Commit commit;
    commit.transfer = t;
    commit.size = 4;
    commit.placement = place_at(concat("f", t));
    for (uint32_t i = 0; i < 20; ++i) {  // each over the one before: the last one counts
      const Bytes bytes(4, static_cast<uint8_t>('a' + i));
      client.send(block_of(t, 0, bytes), shared(bytes));
    }
    commits.push_back(client.send(commit));
  }
  for (const uint32_t id : commits) {
    EXPECT_TRUE(client.wait_for<wire::Commit>(id));
  }
  for (uint32_t t = 1; t <= kTransfers; ++t) {
    EXPECT_EQ(read_file(dir.file(concat("f", t))), "tttt");
  }
}

TEST(Server, KeepsStagingFilesOfOpenTransfersAtTheEnd) {
  const TempDir dir;
  write_file(dir.file("f"), "old");
  {
    AgentClient client;
    ASSERT_TRUE(client.hello(dir.path()));
    ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
    const Bytes bytes = random_bytes(1000, 1);
    ASSERT_TRUE(client.call(block_of(1, 0, bytes), shared(bytes)));
    ASSERT_TRUE(client.call(wire::Init{2, "g", {}}));  // got nothing
    EXPECT_TRUE(client.finish());
  }
  const auto staging = staging_in(dir.path());
  ASSERT_EQ(staging.size(), 1U);
  EXPECT_EQ(read_file(dir.file(staging[0])), as_text(random_bytes(1000, 1)));
  EXPECT_EQ(read_file(dir.file("f")), "old");
}

TEST(Server, FinishesWhatWasReadBeforeTheEnd) {
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  for (int i = 0; i < 50; ++i) {
    wire::PutFile put;
    put.sha256 = hash::sha256(as_bytes("text"));
    put.placement = place_at(concat("f", i));
    client.send(put, shared("text"));
  }
  EXPECT_TRUE(client.finish());
  EXPECT_EQ(names_in(dir.path()).size(), 50U);
}

TEST(Server, BoundsWhatWaitsForThePool) {
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  const Bytes bytes = random_bytes(wire::kBlockSize, 2);
  const SharedBytes block = shared(bytes);
  std::vector<uint32_t> ids;
  for (uint64_t i = 0; i < 2 * agent::kMaxQueuedBytes / wire::kBlockSize; ++i) {
    ids.push_back(client.send(block_of(1, i * wire::kBlockSize, bytes), block));
  }
  for (const uint32_t id : ids) {
    EXPECT_TRUE(client.wait_for<wire::Block>(id));
  }
}

TEST(Server, DelayedAnswersOverlap) {
  const Fault fault("delay_reply_ms=100");
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  const int64_t start = system_clock().now_ms();
  std::vector<uint32_t> ids;
  for (int i = 0; i < 100; ++i) {
    ids.push_back(client.send(wire::GetAttr{{0, ""}}));
  }
  for (const uint32_t id : ids) {
    EXPECT_TRUE(client.wait_for<wire::GetAttr>(id));
  }
  const int64_t took_ms = system_clock().now_ms() - start;
  EXPECT_GE(took_ms, 100);
  EXPECT_LT(took_ms, 2000);  // one after the other they would take 10 s
}

TEST(Server, DamagedBlocksAreAnsweredWithTheHashOfWhatWasReadBack) {
  const Fault fault("damage_block=2");
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  ASSERT_TRUE(client.call(wire::Init{1, "f", {}}));
  const Bytes bytes = random_bytes(5000, 3);
  for (const bool good : {false, false, true}) {
    const auto ack = client.call(block_of(1, 0, bytes), shared(bytes));
    ASSERT_TRUE(ack);
    EXPECT_EQ(ack->hash == hash::block_hash(bytes), good);
  }
  wire::Commit commit;
  commit.transfer = 1;
  commit.size = bytes.size();
  commit.sha256 = hash::sha256(bytes);
  commit.placement = place_at("f");
  EXPECT_TRUE(client.call(commit));
  EXPECT_EQ(read_file(dir.file("f")), as_text(bytes));
}

TEST(Server, DamagedSmallFilesAndInPlaceWritesAreSeen) {
  const TempDir dir;
  AgentClient client;
  ASSERT_TRUE(client.hello(dir.path()));
  ASSERT_TRUE(open_file(client, 1, "g", wire::kOpenWrite | wire::kOpenCreate));
  const Fault fault("damage_block=2");
  wire::PutFile put;
  put.sha256 = hash::sha256(as_bytes("text"));
  put.placement = place_at("f");
  EXPECT_EQ(client.call(put, shared("text")).error().code, Errc::verify);
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"g"});
  EXPECT_TRUE(staging_in(dir.path()).empty());
  EXPECT_NE(write_block(client, 1, 0, as_bytes("text"))->hash, hash::block_hash(as_bytes("text")));
  EXPECT_EQ(write_block(client, 1, 0, as_bytes("text"))->hash, hash::block_hash(as_bytes("text")));
}

}  // namespace
}  // namespace cpaway::testing
