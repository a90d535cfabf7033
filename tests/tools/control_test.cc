#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_dir.h"
#include "tools/control_client.h"
#include "tools/control_server.h"

namespace cpaway::tools {
namespace {

MountStatus sample() {
  MountStatus status;
  status.source = "u@h:d";
  status.mountpoint = "/mnt";
  status.pid = 7;
  status.state = "connected";
  status.window_used = 3;
  status.transfers = {{"a\xff/b", 10, 9, 8, 7, 6, 5, 4, "writing", "", ""},
                      {"c", 1, 1, 1, 1, 0, 0, 1, "committed", "abcd", ""}};
  status.earlier = {{"d", 1, 1, 1, 1, 0, 0, 1, "failed", "", "no"}};
  return status;
}

TEST(MountStatus, SurvivesTheJourney) {
  const auto parsed = parse_mount_status(to_text(to_json(sample())));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->source, "u@h:d");
  EXPECT_EQ(parsed->pid, 7);
  ASSERT_EQ(parsed->transfers.size(), 2U);
  EXPECT_EQ(parsed->transfers[0].path, "a\xef\xbf\xbd/b");  // what is not UTF-8 is replaced
  EXPECT_EQ(parsed->transfers[0].bytes_acknowledged, 7U);
  EXPECT_EQ(parsed->transfers[0].bytes_matched, 6U);
  EXPECT_EQ(parsed->transfers[0].bytes_resumed, 5U);
  EXPECT_EQ(parsed->transfers[1].sha256, "abcd");
  ASSERT_EQ(parsed->earlier.size(), 1U);
  EXPECT_EQ(parsed->earlier[0].error, "no");
}

TEST(MountStatus, OtherTextIsAnError) {
  for (const char* text : {"", "{", "[]", "{}", R"({"source": 1})"}) {
    const auto parsed = parse_mount_status(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::protocol);
  }
}

// The path of the socket is longer than sun_path.
TEST(Control, AnswersInADeepDirectory) {
  const cpaway::testing::TempDir top;
  const std::string base = top.path() + "/" + std::string(120, 'x');
  auto state = StateDir::acquire(base, "name", {"u@h:d", "/mnt", 7});
  ASSERT_TRUE(state);
  auto server = ControlServer::start(state->fd(), [] { return to_text(to_json(sample())); });
  ASSERT_TRUE(server) << server.error().to_string();
  const auto daemon = find_daemon(base, "/mnt");
  ASSERT_TRUE(daemon.has_value());
  for (int i = 0; i < 3; ++i) {
    const auto status = query_daemon(*daemon);
    ASSERT_TRUE(status) << status.error().to_string();
    EXPECT_EQ(status->state, "connected");
  }
  EXPECT_FALSE(find_daemon(base, "/other").has_value());
  server->reset();
  EXPECT_FALSE(query_daemon(*daemon));
  state->clean();
  EXPECT_FALSE(std::filesystem::exists(base + "/name/control.sock"));
}

}  // namespace
}  // namespace cpaway::tools
