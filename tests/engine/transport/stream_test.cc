// One suite for every Stream: a libssh channel, the ssh program, a local shell.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <array>
#include <chrono>
#include <ctime>

#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "engine/transport/transport.h"
#include "tests/support/random_bytes.h"
#include "tests/support/test_sshd.h"
#include "tests/support/wait_until.h"

namespace cpaway::transport {
namespace {

using testing::TestSshd;

enum class Kind { libssh, program, local };

class StreamTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() != Kind::local && !TestSshd::available()) {
      GTEST_SKIP() << "needs root and sshd";
    }
    open({});
  }
  void open(const TestSshd::Options& options) {
    transport_.reset();
    if (GetParam() == Kind::local) {
      transport_ = local_transport();
      return;
    }
    sshd_ = std::make_unique<TestSshd>(options);
    LoginOptions login = sshd_->login();
    login.ssh_command = GetParam() == Kind::program ? "ssh" : "";
    auto transport = connect(login, nullptr);
    ASSERT_TRUE(transport) << transport.error().to_string();
    transport_ = std::move(*transport);
  }
  [[nodiscard]] std::unique_ptr<Stream> exec(const std::string& command) const {
    auto stream = transport_->exec(command);
    EXPECT_TRUE(stream) << stream.error().to_string();
    return stream ? std::move(*stream) : nullptr;
  }

  std::unique_ptr<TestSshd> sshd_;
  std::unique_ptr<Transport> transport_;
};

std::string kind_name(const ::testing::TestParamInfo<Kind>& info) {
  switch (info.param) {
    case Kind::libssh:
      return "libssh";
    case Kind::program:
      return "program";
    case Kind::local:
      break;
  }
  return "local";
}

INSTANTIATE_TEST_SUITE_P(Transports, StreamTest,
                         ::testing::Values(Kind::libssh, Kind::program, Kind::local), kind_name);

constexpr int kLongMs = 20'000;

// Reads to the end, which is `end`.
std::string read_all(Stream& stream, Error* end = nullptr) {
  std::string output;
  std::array<uint8_t, 65536> buffer;
  for (;;) {
    const auto got = stream.read_some(buffer);
    if (!got) {
      if (end != nullptr) {
        *end = got.error();
      }
      return output;
    }
    output.append(as_text(ByteSpan(buffer).first(*got)));
    if (*got == 0) {
      const Status waited = stream.wait(false, -1, kLongMs);
      if (!waited && end != nullptr) {
        *end = waited.error();
        return output;
      }
    }
  }
}

std::string read_line(Stream& stream) {
  std::string line;
  std::array<uint8_t, 1> byte;
  while (!line.ends_with('\n')) {
    const auto got = stream.read_some(byte);
    if (!got || (*got == 0 && !stream.wait(false, -1, kLongMs))) {
      ADD_FAILURE() << "no line";
      return line;
    }
    line.append(as_text(ByteSpan(byte).first(*got)));
  }
  return line;
}

// Sends through `cat` and compares what comes back, both ways at once.
void echo_all(Stream& stream, const Bytes& sent) {
  size_t written = 0;
  size_t read = 0;
  Bytes buffer(1U << 20U);
  while (read < sent.size()) {
    const auto got = stream.read_some(buffer);
    ASSERT_TRUE(got) << got.error().to_string();
    ASSERT_LE(read + *got, sent.size());
    ASSERT_EQ(std::memcmp(buffer.data(), sent.data() + read, *got), 0) << "at " << read;
    read += *got;
    size_t taken = 0;
    if (written < sent.size()) {
      const auto result = stream.write_some(ByteSpan(sent).subspan(written));
      ASSERT_TRUE(result) << result.error().to_string();
      taken = *result;
      written += taken;
    }
    if (*got == 0 && taken == 0) {
      ASSERT_TRUE(stream.wait(written < sent.size(), -1, kLongMs));
    }
  }
}

TEST_P(StreamTest, PrintsAndEnds) {
  auto stream = exec("echo out; echo err >&2; exit 7");
  Error end;
  EXPECT_EQ(read_all(*stream, &end), "out\n");
  EXPECT_EQ(end.code, Errc::connection_lost);
  EXPECT_EQ(stream->exit_status(), 7);
  EXPECT_EQ(stream->take_stderr(), "err");
  EXPECT_EQ(stream->take_stderr(), "");
}

TEST_P(StreamTest, SeveralCommandsOneAfterTheOther) {
  for (int i = 0; i < 3; ++i) {
    auto stream = exec(concat("echo ", i));
    EXPECT_EQ(read_all(*stream), concat(i, "\n"));
  }
}

TEST_P(StreamTest, AbandonedCommandDoesNotDisturbTheNext) {
  auto first = exec("echo first; cat; yes");
  ASSERT_TRUE(first->wait(false, -1, kLongMs));
  first.reset();
  auto second = exec("echo second");
  EXPECT_EQ(read_all(*second), "second\n");
}

TEST_P(StreamTest, EndOfInputReachesTheProgram) {
  auto stream = exec("cat; echo end");
  ASSERT_TRUE(stream->wait(true, -1, kLongMs));
  EXPECT_EQ(*stream->write_some(as_bytes("input ")), 6U);
  stream->close_write();
  EXPECT_EQ(read_all(*stream), "input end\n");
  EXPECT_EQ(stream->exit_status(), 0);
}

TEST_P(StreamTest, CarriesManyBytesBothWays) {
  auto stream = exec("cat");
  echo_all(*stream, testing::random_bytes(32U << 20U, 7));
}

TEST_P(StreamTest, SurvivesNewSessionKeys) {
  if (GetParam() == Kind::local) {
    GTEST_SKIP() << "has no keys";
  }
  TestSshd::Options options;
  options.config = {"RekeyLimit 4M"};
  open(options);
  auto stream = exec("cat");
  echo_all(*stream, testing::random_bytes(24U << 20U, 7));
}

TEST_P(StreamTest, WriteStopsWhereNobodyReads) {
  auto stream = exec("echo $$; exec sleep 1000");
  const pid_t pid = std::stoi(read_line(*stream));
  constexpr size_t kMuch = 64U << 20U;
  const Bytes block(1U << 20U, 'x');
  size_t written = 0;
  bool blocked = false;
  while (written < kMuch && !blocked) {
    const auto taken = stream->write_some(block);
    ASSERT_TRUE(taken);
    written += *taken;
    if (*taken == 0) {
      const auto began = std::chrono::steady_clock::now();
      ASSERT_TRUE(stream->wait(true, -1, 300));
      blocked = std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(290);
    }
  }
  EXPECT_TRUE(blocked);
  EXPECT_LT(written, 16U << 20U);
  EXPECT_EQ(kill(pid, SIGKILL), 0);  // sshd leaves it running
}

TEST_P(StreamTest, ReadWindowBoundsWhatIsSent) {
  auto stream = exec("yes | head -c 100000000; echo done >&2");
  // Nobody reads: waiting returns at once, since bytes are there, and does not collect them all.
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(stream->wait(false, -1, kLongMs));
  }
  EXPECT_EQ(stream->take_stderr(), "");
  EXPECT_EQ(read_all(*stream).size(), 100000000U);
  EXPECT_EQ(stream->take_stderr(), "done");
}

TEST_P(StreamTest, WaitReturnsAfterItsTimeAndDoesNotSpin) {
  auto stream = exec("cat");
  ASSERT_TRUE(stream->wait(true, -1, kLongMs));
  const auto began = std::chrono::steady_clock::now();
  const std::clock_t worked = std::clock();
  ASSERT_TRUE(stream->wait(false, -1, 500));
  const auto waited = std::chrono::steady_clock::now() - began;
  EXPECT_GE(waited, std::chrono::milliseconds(490));
  EXPECT_LT(waited, std::chrono::milliseconds(5000));
  EXPECT_LT(std::clock() - worked, CLOCKS_PER_SEC / 10);
}

TEST_P(StreamTest, WakeFdEndsTheWait) {
  auto stream = exec("cat");
  const UniqueFd wake(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(stream->wait(false, wake.get(), kLongMs));
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_P(StreamTest, ManySmallReads) {
  auto stream = exec("yes 123 | head -c 400000");
  std::string output;
  std::array<uint8_t, 5> buffer;
  for (;;) {
    const auto got = stream->read_some(buffer);
    if (!got) {
      break;
    }
    output.append(as_text(ByteSpan(buffer).first(*got)));
    if (*got == 0) {
      ASSERT_TRUE(stream->wait(false, -1, kLongMs));
    }
  }
  EXPECT_EQ(output.size(), 400000U);
  EXPECT_TRUE(output.ends_with("123\n"));
}

TEST_P(StreamTest, KilledProgramTellsItsSignal) {
  auto stream = exec("kill -KILL $$");
  EXPECT_EQ(read_all(*stream), "");
  const auto status = stream->exit_status();
  // The ssh program answers for the remote one, and has no number for its signal.
  EXPECT_EQ(status, GetParam() == Kind::program ? 255 : 128 + SIGKILL);
}

TEST_P(StreamTest, LostSessionIsLostConnection) {
  if (GetParam() == Kind::local) {
    GTEST_SKIP() << "has no session";
  }
  auto stream = exec("echo started; cat");
  ASSERT_EQ(read_line(*stream), "started\n");
  sshd_->kill_sessions();
  Error end;
  EXPECT_EQ(read_all(*stream, &end), "");
  EXPECT_EQ(end.code, Errc::connection_lost) << end.to_string();
  const auto written = stream->write_some(as_bytes("x"));
  EXPECT_FALSE(written);
  stream.reset();
  if (GetParam() == Kind::libssh) {
    EXPECT_FALSE(transport_->exec("true"));
  }
}

TEST_P(StreamTest, RefusedSessionIsAnExecError) {
  if (GetParam() != Kind::libssh) {
    GTEST_SKIP() << "has no sessions beside its own";
  }
  TestSshd::Options options;
  options.config = {"MaxSessions 1"};
  open(options);
  auto first = exec("cat");
  const auto second = transport_->exec("cat");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::exec) << second.error().to_string();
}

}  // namespace
}  // namespace cpaway::transport
