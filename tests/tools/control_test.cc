#include <gtest/gtest.h>

#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <future>
#include <optional>

#include "engine/base/mutex.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"
#include "tools/control_client.h"
#include "tools/control_server.h"
#include "tools/control_socket.h"

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
  auto server =
      ControlServer::start(state->fd(), [](const std::string& request, const ControlReply& reply) {
        EXPECT_EQ(request, "");
        reply.send(to_text(to_json(sample())));
      });
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

// A server that answers with the request in brackets, and a client's end of a connection to it.
class ControlServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto state = StateDir::acquire(dir_.path(), "name", {"u@h:d", "/mnt", 7});
    ASSERT_TRUE(state);
    state_ = std::move(*state);
    auto server = ControlServer::start(
        state_->fd(), [this](const std::string& request, const ControlReply& reply) {
          if (request == "later") {
            const MutexLock lock(mutex_);
            later_ = reply;
          } else if (request != "never") {
            reply.send("[" + request + "]");
          }
        });
    ASSERT_TRUE(server) << server.error().to_string();
    server_ = std::move(*server);
    daemon_ = find_daemon(dir_.path(), "/mnt");
    ASSERT_TRUE(daemon_);
  }
  std::string ask(const std::string& request) const {
    return ask_daemon(*daemon_, request, 2000).value_or("error");
  }
  // Sends `text` as it is, and reads to the end without saying that nothing more comes.
  std::string send_raw(const std::string& text) const {
    const auto socket = open_control_socket().value();
    const sockaddr_un address = control_address(daemon_->directory.get());
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_TRUE(limit_transfers(socket.get(), 2000));
    EXPECT_EQ(send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    std::array<char, 1024> answer;
    const ssize_t size = recv(socket.get(), answer.data(), answer.size(), 0);
    return size < 0 ? "error" : std::string(answer.data(), static_cast<size_t>(size));
  }

  cpaway::testing::TempDir dir_;
  std::optional<StateDir> state_;
  std::optional<ControlReply> later() {
    const MutexLock lock(mutex_);
    return later_;
  }
  Mutex mutex_;
  std::optional<ControlReply> later_ CPAWAY_GUARDED_BY(mutex_);
  std::unique_ptr<ControlServer> server_;
  std::optional<RunningDaemon> daemon_;
};

TEST_F(ControlServerTest, TakesOneLine) {
  EXPECT_EQ(ask("gc 7"), "[gc 7]");
  EXPECT_EQ(ask(""), "[]");
  EXPECT_EQ(send_raw("one\ntwo\n"), "[one]");
  EXPECT_EQ(send_raw(std::string(1000, 'x')), "[" + std::string(256, 'x') + "]");
}

TEST_F(ControlServerTest, AClientThatSaysNothingIsAnswered) {
  EXPECT_EQ(send_raw(""), "[]");
  EXPECT_EQ(send_raw("half"), "[half]");
}

TEST_F(ControlServerTest, AnAnswerMayComeLater) {
  auto waiting = std::async(std::launch::async, [this] { return ask("later"); });
  EXPECT_EQ(ask("now"), "[now]");  // meanwhile others are answered
  ASSERT_TRUE(cpaway::testing::wait_until([this] { return ask("x") == "[x]" && later(); }));
  later()->send("[at last]");
  EXPECT_EQ(waiting.get(), "[at last]");
  EXPECT_EQ(ask("never"), "");
}

}  // namespace
}  // namespace cpaway::tools
