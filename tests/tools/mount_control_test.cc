#include "tools/mount_control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "cache/null_journal.h"
#include "tools/gc_command.h"
#include "tools/mount_status.h"

namespace cpaway::tools {
namespace {

// Keeps requests until the test answers them.
class FakeSession : public client::Session {
 public:
  void submit(wire::Frame frame, client::Priority /*priority*/, Done done) override {
    frames.push_back(std::move(frame));
    waiting.push_back(std::move(done));
  }
  const wire::Hello::Answer& hello() const override { return hello_; }
  void set_reopen(Reopen /*reopen*/) override {}
  std::string state() const override { return "connected"; }
  void close(int64_t /*timeout_ms*/) override {}

  void answer(Result<wire::Incoming> incoming) {
    waiting.front()(std::move(incoming));
    waiting.erase(waiting.begin());
  }

  std::vector<wire::Frame> frames;
  std::vector<Done> waiting;

 private:
  wire::Hello::Answer hello_;
};

class FakeMount : public fs::Mount {
 public:
  Status run() override { return {}; }
  void stop() override {}
  fs::MountReport report() override { return report_; }
  void reopen(client::Requester& /*agent*/) override {}

  fs::MountReport report_;
};

class History : public cache::NullJournal {
 public:
  std::vector<upload::TransferRecord> recent(size_t limit) override {
    EXPECT_EQ(limit, MountControl::kMaxEarlier);
    upload::TransferRecord record;
    record.path = "old";
    record.state = "committed";
    record.size = 10;
    record.bytes_written = 10;
    record.bytes_matched = 6;
    record.started_ms = 1000;
    record.ended_ms = 3000;
    return {record};
  }
};

wire::Incoming good(const wire::Collect::Answer& answer) {
  const wire::Frame frame = wire::pack_answer(0, answer);
  return {wire::Op::reply, 0, Bytes(frame.head.begin() + wire::kFrameHeaderSize, frame.head.end())};
}

class MountControlTest : public ::testing::Test {
 protected:
  MountControlTest() { options_.filesystem.source = "u@h:d"; }

  // A connection whose client end is read by answer_of().
  struct Asked {
    UniqueFd client;
    [[nodiscard]] std::string answer() const {
      std::array<char, 65536> text;
      const ssize_t size = recv(client.get(), text.data(), text.size(), MSG_DONTWAIT);
      return size < 0 ? "" : std::string(text.data(), static_cast<size_t>(size));
    }
  };
  Asked ask(const std::string& line) {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    control_.answer(line, ControlReply(UniqueFd(ends[1])));
    return {UniqueFd(ends[0])};
  }
  static GcOutcome outcome(const Asked& asked) {
    const auto parsed = parse_gc_outcome(asked.answer());
    EXPECT_TRUE(parsed);
    return parsed.value_or(GcOutcome{});
  }

  MountOptions options_;
  FakeSession session_;
  FakeMount mount_;
  History history_;
  MountControl control_{options_, session_, mount_, history_};
};

TEST_F(MountControlTest, StatusHoldsWhatEarlierMountsDid) {
  mount_.report_.recent = {{"new", 1, 1, 1, 1, 0, 0, 1, "committed", "", ""}};
  const auto status = parse_mount_status(ask("").answer());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->source, "u@h:d");
  ASSERT_EQ(status->transfers.size(), 1U);
  EXPECT_EQ(status->transfers[0].path, "new");
  ASSERT_EQ(status->earlier.size(), 1U);
  EXPECT_EQ(status->earlier[0].path, "old");
  EXPECT_EQ(status->earlier[0].bytes_acknowledged, 10U);
  EXPECT_EQ(status->earlier[0].bytes_matched, 6U);
  EXPECT_EQ(status->earlier[0].bytes_per_second, 5U);
}

TEST_F(MountControlTest, GcAsksTheAgent) {
  const Asked asked = ask("gc 60");
  ASSERT_EQ(session_.frames.size(), 1U);
  const ByteSpan fields =
      ByteSpan(session_.frames[0].head).subspan(wire::kFrameHeaderSize + sizeof(uint32_t));
  const auto request = wire::unpack<wire::Collect>(fields);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->path, "");
  EXPECT_EQ(request->older_than, 60U);
  EXPECT_TRUE(request->recursive);
  EXPECT_EQ(asked.answer(), "");
  session_.answer(good({2, 3000, 1}));
  EXPECT_EQ(asked.answer(), "{\"bytes\":3000,\"kept\":1,\"removed\":2}\n");
}

TEST_F(MountControlTest, OneGcAtATime) {
  const Asked first = ask("gc 0");
  EXPECT_EQ(outcome(ask("gc 0")).error, "one is running already");
  session_.answer(good({}));
  EXPECT_EQ(outcome(first).error, "");
  const Asked third = ask("gc 0");
  session_.answer(fail_os(EPERM, "mode no-delete"));
  EXPECT_NE(outcome(third).error, "");
  EXPECT_EQ(session_.frames.size(), 2U);
}

TEST_F(MountControlTest, FailuresHaveTheirExitCode) {
  Asked asked = ask("gc 0");
  session_.answer(fail_os(EPERM, "mode no-delete"));
  EXPECT_EQ(outcome(asked).exit_code, to_int(ExitCode::remote_directory));
  asked = ask("gc 0");
  session_.answer(fail(Errc::timeout, "no connection"));
  EXPECT_EQ(outcome(asked).exit_code, to_int(ExitCode::unreachable));
}

TEST_F(MountControlTest, AReadOnlyMountRemovesNothing) {
  options_.filesystem.read_only = true;
  EXPECT_EQ(outcome(ask("gc 0")).exit_code, to_int(ExitCode::mountpoint));
  EXPECT_TRUE(session_.frames.empty());
}

TEST_F(MountControlTest, OtherLinesAreRefused) {
  for (const char* line : {"frob", "gc", "gc ", "gc x", "gc -1", "gc 1 2", " "}) {
    EXPECT_EQ(outcome(ask(line)).exit_code, to_int(ExitCode::usage)) << line;
  }
  EXPECT_TRUE(session_.frames.empty());
}

TEST(GcOutcome, OtherTextIsAnError) {
  for (const char* text : {"", "{", "[]", "{}", R"({"removed": "x"})", R"({"error": "x"})"}) {
    EXPECT_FALSE(parse_gc_outcome(text)) << text;
  }
}

TEST(GcCommand, SaysWhatWasDone) {
  EXPECT_EQ(format_gc({1, 1536, 0}), "removed 1 staging file, 1.5 KiB; kept 0\n");
  EXPECT_EQ(format_gc({0, 0, 2}), "removed 0 staging files, 0 bytes; kept 2\n");
}

TEST(GcCommand, NeedsAMount) {
  testing::internal::CaptureStderr();
  GcWords words;
  words.mountpoint = "/";
  words.state_dir = "/nonexistent";
  EXPECT_EQ(gc_command(words), to_int(ExitCode::mountpoint));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "cpaway: mountpoint /: no cpaway mount there\n");
}

}  // namespace
}  // namespace cpaway::tools
