// Logging in to a real sshd, by libssh and by the ssh program.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdlib>

#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "engine/transport/child_stream.h"
#include "engine/transport/transport.h"
#include "tests/support/run_command.h"
#include "tests/support/test_sshd.h"
#include "tests/support/wait_until.h"

namespace cpaway::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TestSshd;

// Logs in and runs a command, since the program logs in no earlier.
Result<std::string> login_and_run(const LoginOptions& login, const Prompter& prompter,
                                  const std::string& command = "id -un") {
  CPAWAY_ASSIGN(auto transport, connect(login, prompter));
  CPAWAY_ASSIGN(auto stream, transport->exec(command));
  std::string output;
  std::array<uint8_t, 4096> buffer;
  for (;;) {
    const auto got = stream->read_some(buffer);
    if (!got && got.error().code == Errc::connection_lost && stream->exit_status() == 0) {
      return output;
    }
    if (!got) {
      return fail(got.error());
    }
    output.append(as_text(ByteSpan(buffer).first(*got)));
    if (*got == 0) {
      CPAWAY_TRY(stream->wait(false, -1, 10'000));
    }
  }
}

class LoginTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!TestSshd::available()) {
      GTEST_SKIP() << "needs root and sshd";
    }
    unsetenv("SSH_AUTH_SOCK");
  }
  [[nodiscard]] bool by_program() const { return *GetParam() != '\0'; }
  [[nodiscard]] LoginOptions login(const TestSshd& sshd) const {
    LoginOptions login = sshd.login();
    login.ssh_command = GetParam();
    return login;
  }
  void expect_failure(const LoginOptions& login, Errc code, const std::string& text) const {
    const auto result = login_and_run(login, nullptr);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().context;
    EXPECT_EQ(result.error().context.find('\n'), std::string::npos);
    if (!by_program()) {
      EXPECT_EQ(result.error().context, text);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Transports, LoginTest, ::testing::Values("", "ssh"),
                         [](const auto& param) { return *param.param ? "program" : "libssh"; });

TEST_P(LoginTest, ByKey) {
  const TestSshd sshd;
  const auto who = login_and_run(login(sshd), nullptr);
  ASSERT_TRUE(who) << who.error().to_string();
  EXPECT_EQ(*who, "cpawaytest\n");
}

TEST_P(LoginTest, WrongKey) {
  const TestSshd sshd;
  LoginOptions wrong = login(sshd);
  wrong.identity_files = {sshd.file("host_key")};
  expect_failure(wrong, Errc::auth, "cpawaytest@127.0.0.1: permission denied (publickey)");
}

TEST_P(LoginTest, WrongUser) {
  const TestSshd sshd;
  LoginOptions wrong = login(sshd);
  wrong.user = "nobody-of-that-name";
  expect_failure(wrong, Errc::auth, "nobody-of-that-name@127.0.0.1: permission denied (publickey)");
}

TEST_P(LoginTest, RefusedPort) {
  LoginOptions options;
  options.host = "127.0.0.1";
  options.port = 1;
  options.config_file = "none";
  options.ssh_command = GetParam();
  expect_failure(options, Errc::unreachable, "cannot reach 127.0.0.1 port 1: connection refused");
}

TEST_P(LoginTest, UnknownName) {
  LoginOptions options;
  options.host = "nosuchhost.invalid";
  options.config_file = "none";
  options.ssh_command = GetParam();
  const auto result = login_and_run(options, nullptr);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::unreachable);
  EXPECT_THAT(result.error().context, StartsWith("cannot reach nosuchhost.invalid: "));
}

TEST_P(LoginTest, HostThatSaysNothing) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 5), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  LoginOptions options;
  options.host = "127.0.0.1";
  options.port = ntohs(address.sin_port);
  options.config_file = "none";
  options.ssh_command = GetParam();
  options.timeout_ms = 1000;
  const auto began = std::chrono::steady_clock::now();
  expect_failure(options, Errc::unreachable, "cannot reach 127.0.0.1: no answer in time");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(3));
}

TEST_P(LoginTest, BadHostName) {
  LoginOptions options;
  options.host = "-oProxyCommand=true";
  options.ssh_command = GetParam();
  const auto result = connect(options, nullptr);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::invalid);
}

TEST_P(LoginTest, HostAliasInConfig) {
  const TestSshd sshd;
  testing::write_file(
      sshd.file("ssh_config"),
      concat("Host other\n  Port 1\nHost thing\n  HostName 127.0.0.1\n  Port ", sshd.port(),
             "\n  User ", sshd.user().name, "\n  IdentityFile ", sshd.file("user_key"),
             "\n  UserKnownHostsFile ", sshd.file("known_hosts"), "\n"));
  LoginOptions options;
  options.host = "thing";
  options.config_file = sshd.file("ssh_config");
  options.ssh_command = GetParam();
  const auto who = login_and_run(options, nullptr);
  ASSERT_TRUE(who) << who.error().to_string();
  EXPECT_EQ(*who, "cpawaytest\n");
  options.user = "nobody-of-that-name";  // wins over the file
  EXPECT_FALSE(login_and_run(options, nullptr));
}

TEST_P(LoginTest, ByProxyCommand) {
  const TestSshd sshd;
  testing::write_file(
      sshd.file("bridge"),
      concat("#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/", sshd.port(), "\ncat <&3 & exec cat >&3\n"),
      0755);
  testing::write_file(sshd.file("ssh_config"), concat("ProxyCommand ", sshd.file("bridge"), "\n"));
  LoginOptions options = login(sshd);
  options.config_file = sshd.file("ssh_config");
  const auto who = login_and_run(options, nullptr);
  ASSERT_TRUE(who) << who.error().to_string();
  EXPECT_EQ(*who, "cpawaytest\n");
}

// What the ssh program asks about on the terminal, libssh asks through the prompter.
class LibsshLogin : public LoginTest {};
INSTANTIATE_TEST_SUITE_P(Libssh, LibsshLogin, ::testing::Values(""));

struct Answers {
  std::vector<std::string> prompts;
  std::string answer;
  [[nodiscard]] Prompter prompter() {
    return [this](const std::string& prompt, bool /*echo*/) {
      prompts.push_back(prompt);
      return std::optional<std::string>(answer);
    };
  }
};

TEST_P(LibsshLogin, IdentityFileThatIsMissing) {
  const TestSshd sshd;
  LoginOptions wrong = login(sshd);
  wrong.identity_files = {"/no/such/key"};
  expect_failure(wrong, Errc::invalid,
                 "cannot read the identity file /no/such/key: No such file or directory");
}

TEST_P(LibsshLogin, ConfigFileThatIsMissing) {
  const TestSshd sshd;
  LoginOptions wrong = login(sshd);
  wrong.config_file = "/no/such/config";
  expect_failure(wrong, Errc::invalid,
                 "cannot read the ssh configuration /no/such/config: No such file or directory");
}

TEST_P(LibsshLogin, PassphraseOfAKey) {
  const TestSshd sshd;
  testing::must_run({"ssh-keygen", "-q", "-p", "-N", "secret phrase", "-f", sshd.file("user_key")});
  expect_failure(login(sshd), Errc::auth,
                 concat("cpawaytest@127.0.0.1: permission denied (publickey); the key ",
                        sshd.file("user_key"), " needs a passphrase"));
  Answers right{{}, "secret phrase"};
  const auto who = login_and_run(login(sshd), right.prompter());
  ASSERT_TRUE(who) << who.error().to_string();
  ASSERT_EQ(right.prompts.size(), 1U);
  EXPECT_EQ(right.prompts[0], concat("Passphrase for the key ", sshd.file("user_key"), ": "));
  Answers wrong{{}, "wrong phrase"};
  EXPECT_FALSE(login_and_run(login(sshd), wrong.prompter()));
  EXPECT_EQ(wrong.prompts.size(), 3U);
}

TEST_P(LibsshLogin, ByAgent) {
  const TestSshd sshd;
  const std::string socket_path = sshd.file("agent");
  auto agent = ChildStream::spawn({"ssh-agent", "-D", "-a", socket_path}, nullptr);
  ASSERT_TRUE(agent);
  ASSERT_TRUE(testing::wait_until([&] { return access(socket_path.c_str(), F_OK) == 0; }));
  setenv("SSH_AUTH_SOCK", socket_path.c_str(), 1);
  testing::must_run({"ssh-add", "-q", sshd.file("user_key")});
  LoginOptions options = login(sshd);
  options.identity_files.clear();
  const auto who = login_and_run(options, nullptr);
  unsetenv("SSH_AUTH_SOCK");
  EXPECT_TRUE(who) << who.error().to_string();
}

TestSshd::Options password_sshd(std::vector<std::string> config) {
  TestSshd::Options options;
  options.user = testing::kPasswordUser;
  options.config = std::move(config);
  return options;
}

TEST_P(LibsshLogin, GivenPassword) {
  const TestSshd sshd(password_sshd({"PasswordAuthentication yes", "PubkeyAuthentication no"}));
  LoginOptions options = login(sshd);
  options.password = testing::kTestPassword;
  const auto who = login_and_run(options, nullptr);
  ASSERT_TRUE(who) << who.error().to_string();
  options.password = "wrong";
  expect_failure(options, Errc::auth, "cpawaytest2@127.0.0.1: permission denied (password)");
}

TEST_P(LibsshLogin, AskedPassword) {
  const TestSshd sshd(password_sshd({"PasswordAuthentication yes", "PubkeyAuthentication no"}));
  Answers right{{}, testing::kTestPassword};
  const auto who = login_and_run(login(sshd), right.prompter());
  ASSERT_TRUE(who) << who.error().to_string();
  EXPECT_THAT(right.prompts, ::testing::ElementsAre("cpawaytest2@127.0.0.1's password: "));
  Answers wrong{{}, "wrong"};
  EXPECT_FALSE(login_and_run(login(sshd), wrong.prompter()));
  EXPECT_EQ(wrong.prompts.size(), 3U);
}

TEST_P(LibsshLogin, KeyAndThenPassword) {
  const TestSshd sshd(
      password_sshd({"PasswordAuthentication yes", "AuthenticationMethods publickey,password"}));
  LoginOptions options = login(sshd);
  options.password = testing::kTestPassword;
  const auto who = login_and_run(options, nullptr);
  ASSERT_TRUE(who) << who.error().to_string();
}

TEST_P(LibsshLogin, TimeOfPromptsIsNotCounted) {
  const TestSshd sshd(password_sshd({"PasswordAuthentication yes", "PubkeyAuthentication no"}));
  LoginOptions options = login(sshd);
  options.timeout_ms = 3000;
  const auto began = std::chrono::steady_clock::now();
  const Prompter slow = [&](const std::string&, bool) {
    // A person who needs longer than the whole deadline: the wait is what is tested.
    EXPECT_TRUE(testing::wait_until([&] {
      return std::chrono::steady_clock::now() - began > std::chrono::milliseconds(3500);
    }));
    return std::optional<std::string>(testing::kTestPassword);
  };
  const auto who = login_and_run(options, slow);
  EXPECT_TRUE(who) << who.error().to_string();
}

TEST_P(LibsshLogin, KeyboardInteractive) {
  const TestSshd sshd(password_sshd({"UsePAM yes", "KbdInteractiveAuthentication yes",
                                     "AuthenticationMethods keyboard-interactive"}));
  LoginOptions options = login(sshd);
  Answers asked{{}, testing::kTestPassword};
  const auto who = login_and_run(options, asked.prompter());
  ASSERT_TRUE(who) << who.error().to_string() << sshd.log();
  ASSERT_EQ(asked.prompts.size(), 1U);
  EXPECT_THAT(asked.prompts[0], HasSubstr("Password:"));
  options.password = testing::kTestPassword;
  EXPECT_TRUE(login_and_run(options, nullptr));
}

}  // namespace
}  // namespace cpaway::transport
