#include "engine/agent/mode.h"

#include <gtest/gtest.h>

#include "engine/agent/dispatch.h"
#include "engine/wire/names.h"
#include "tests/engine/agent/upload_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

using agent::Mode;

TEST(Mode, ParsesItsNames) {
  EXPECT_EQ(agent::parse_mode("read-only").value(), Mode::read_only);
  EXPECT_EQ(agent::parse_mode("write-only").value(), Mode::write_only);
  EXPECT_EQ(agent::parse_mode("no-delete").value(), Mode::no_delete);
  EXPECT_FALSE(agent::parse_mode(""));
  EXPECT_FALSE(agent::parse_mode("read_only"));
}

TEST(Mode, ForbidsByEffect) {
  using agent::check_allowed;
  EXPECT_TRUE(check_allowed(Mode::unrestricted, 0xff));
  EXPECT_TRUE(check_allowed(Mode::read_only, agent::kLooks | agent::kReadsContent));
  EXPECT_EQ(errno_of(check_allowed(Mode::read_only, agent::kWrites)), EROFS);
  EXPECT_EQ(errno_of(check_allowed(Mode::read_only, agent::kRemoves)), EROFS);
  EXPECT_TRUE(check_allowed(Mode::write_only, agent::kWrites | agent::kRemoves));
  EXPECT_EQ(errno_of(check_allowed(Mode::write_only, agent::kReadsContent)), EACCES);
  EXPECT_TRUE(check_allowed(Mode::no_delete, agent::kWrites | agent::kReadsContent));
  EXPECT_EQ(errno_of(check_allowed(Mode::no_delete, agent::kRemoves)), EPERM);
}

TEST(Mode, EveryRequestHasARouteAndNoAnswerHas) {
  for (int code = 0; code < 256; ++code) {
    const auto op = static_cast<wire::Op>(code);
    const bool is_request = !wire::op_name(op).empty() && op != wire::Op::hello &&
                            op != wire::Op::ack && op != wire::Op::reply;
    EXPECT_EQ(agent::find_route(op) != nullptr, is_request) << wire::op_name(op);
  }
}

class RestrictedTest : public ::testing::Test {
 protected:
  void SetUp() override { write_file(dir.file("f"), "old"); }
  static int put(AgentClient& client) {
    wire::PutFile request;
    request.sha256 = hash::sha256(as_bytes("new"));
    request.placement = place_at("g");
    return errno_of(client.call(request, shared("new")));
  }
  const TempDir dir;
};

TEST_F(RestrictedTest, ReadOnlyChangesNothing) {
  AgentClient client({.confine = {}, .mode = Mode::read_only});
  ASSERT_TRUE(client.hello(dir.path()));
  EXPECT_EQ(put(client), EROFS);
  EXPECT_EQ(errno_of(client.call(wire::Init{1, "f", {}})), EROFS);
  EXPECT_EQ(errno_of(client.call(wire::Unlink{"f"})), EROFS);
  EXPECT_EQ(errno_of(client.call(wire::MkDir{"d", 0755})), EROFS);
  EXPECT_EQ(errno_of(open_file(client, 1, "f", wire::kOpenWrite)), EROFS);
  EXPECT_TRUE(open_file(client, 2, "f", wire::kOpenRead));
  Bytes bulk;
  EXPECT_TRUE(client.call(wire::Read{2, 0, 10}, nullptr, &bulk));
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"f"});
}

TEST_F(RestrictedTest, WriteOnlyReadsNoContent) {
  AgentClient client({.confine = {}, .mode = Mode::write_only});
  ASSERT_TRUE(client.hello(dir.path()));
  EXPECT_EQ(put(client), 0);
  EXPECT_EQ(errno_of(open_file(client, 1, "f", wire::kOpenRead)), EACCES);
  EXPECT_EQ(errno_of(client.call(wire::Digest{{0, "f"}})), EACCES);
  EXPECT_TRUE(open_file(client, 2, "f", wire::kOpenWrite));
  EXPECT_EQ(errno_of(client.call(wire::Read{2, 0, 10})), EACCES);
  EXPECT_TRUE(open_file(client, 3, "", wire::kOpenDirectory));
  EXPECT_TRUE(client.call(wire::GetAttr{{0, "f"}}));
}

TEST_F(RestrictedTest, NoDeleteRemovesNoName) {
  AgentClient client({.confine = {}, .mode = Mode::no_delete});
  ASSERT_TRUE(client.hello(dir.path()));
  EXPECT_EQ(put(client), 0);
  EXPECT_EQ(errno_of(client.call(wire::Unlink{"f"})), EPERM);
  EXPECT_TRUE(client.call(wire::MkDir{"d", 0755}));
  EXPECT_EQ(errno_of(client.call(wire::RmDir{"d"})), EPERM);
  EXPECT_EQ(errno_of(client.call(wire::Rename{"g", "f", 0})), EEXIST);
  EXPECT_TRUE(client.call(wire::Rename{"g", "h", 0}));
  EXPECT_EQ(read_file(dir.file("f")), "old");
}

TEST_F(RestrictedTest, ReadOnlyUploadsAndCollectsNothing) {
  write_file(dir.file(wire::staging_name_of("f")), "kept");
  UploadClient agent(dir.path(), {.confine = {}, .mode = Mode::read_only});
  EXPECT_EQ(errno_of(agent.init()), EROFS);
  EXPECT_EQ(errno_of(agent.basis(1, "f")), EBADF);  // there is no transfer that could have one
  EXPECT_EQ(errno_of(agent.same(1, 0, as_bytes("old"))), EROFS);
  EXPECT_EQ(errno_of(agent.collect("", 0)), EROFS);
  ASSERT_TRUE(open_file(agent.client(), 1, "f", wire::kOpenRead));
  const wire::ChunkAt chunk{hash::block_hash(as_bytes("old")), 3};
  EXPECT_EQ(agent.client().call(wire::Compare{1, 0, {chunk}})->equal, Bytes{1});
  EXPECT_EQ(staging_in(dir.path()).size(), 1U);
}

// Nor what another upload has left, whose name anybody can compute.
TEST_F(RestrictedTest, WriteOnlyTellsNoContentOfBases) {
  const std::string name = wire::staging_name_of("f");
  write_file(dir.file(name), "kept");
  UploadClient agent(dir.path(), {.confine = {}, .mode = Mode::write_only});
  EXPECT_EQ(errno_of(agent.init("f", name)), ENOENT);
  ASSERT_TRUE(agent.cancel(false));
  const auto init = agent.init();
  ASSERT_TRUE(init);
  EXPECT_NE(init->staging_name, name);
  EXPECT_EQ(init->kept_size, 0U);
  EXPECT_EQ(errno_of(agent.basis(1, "f")), EACCES);
  EXPECT_EQ(errno_of(agent.chunks({kUpload, 0, 0, 4, 0, 0, 1024})), EACCES);
  EXPECT_FALSE(agent.same(wire::kStagingBasis, 0, as_bytes("kept")).value());
  ASSERT_TRUE(open_file(agent.client(), 1, "f", wire::kOpenWrite));
  EXPECT_EQ(errno_of(agent.client().call(wire::Compare{1, 0, {}})), EACCES);
  ASSERT_TRUE(agent.delta(0, as_bytes("new"), {{wire::kLiteral, 3, 0}}, {'n', 'e', 'w'}).value());
  EXPECT_EQ(as_text(agent.read(0, 10).value()), "new");  // its own
  ASSERT_TRUE(agent.commit(as_bytes("new")));
  EXPECT_EQ(read_file(dir.file("f")), "new");
  EXPECT_EQ(agent.collect("", 0)->removed, 1U);
}

TEST_F(RestrictedTest, NoDeleteUploadsAsADelta) {
  UploadClient agent(dir.path(), {.confine = {}, .mode = Mode::no_delete});
  ASSERT_TRUE(agent.init());
  ASSERT_TRUE(agent.basis(1, "f"));
  ASSERT_TRUE(agent.same(1, 0, as_bytes("old")).value());
  ASSERT_TRUE(agent.block(3, as_bytes("er")).value());
  ASSERT_TRUE(agent.commit(as_bytes("older")));
  write_file(dir.file(wire::new_staging_name()), "left");
  EXPECT_EQ(errno_of(agent.collect("", 0)), EPERM);
  EXPECT_EQ(staging_in(dir.path()).size(), 1U);
}

}  // namespace
}  // namespace cpaway::testing
