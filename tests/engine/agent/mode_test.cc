#include "engine/agent/mode.h"

#include <gtest/gtest.h>

#include "engine/agent/dispatch.h"
#include "tests/engine/agent/agent_client.h"
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

}  // namespace
}  // namespace cpaway::testing
