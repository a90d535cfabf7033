// What is done about host keys that known_hosts does not hold, or holds otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/strings.h"
#include "engine/transport/transport.h"
#include "tests/support/run_command.h"
#include "tests/support/test_sshd.h"

namespace cpaway::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::TestSshd;

class HostKeyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!TestSshd::available()) {
      GTEST_SKIP() << "needs root and sshd";
    }
  }
  // "": logged in.
  static std::string failure(const LoginOptions& login, const Prompter& prompter = nullptr) {
    const auto transport = connect(login, prompter);
    if (transport) {
      return "";
    }
    EXPECT_EQ(transport.error().code, Errc::host_key) << transport.error().context;
    return transport.error().context;
  }
};

constexpr const char* kUnknown =
    "the key of 127.0.0.1 is not known: connect once with ssh, or use -o "
    "StrictHostKeyChecking=accept-new";

TEST_F(HostKeyTest, UnknownKeyIsRefused) {
  const TestSshd sshd;
  LoginOptions login = sshd.login();
  login.known_hosts_file = sshd.file("nothing");
  EXPECT_EQ(failure(login), kUnknown);
  login.host_key_check = HostKeyCheck::ask;
  EXPECT_EQ(failure(login), kUnknown);
  EXPECT_EQ(testing::read_file(sshd.file("nothing")), "");
}

TEST_F(HostKeyTest, AcceptNewRemembers) {
  const TestSshd sshd;
  LoginOptions login = sshd.login();
  login.known_hosts_file = sshd.file("new/known_hosts");
  login.host_key_check = HostKeyCheck::accept_new;
  EXPECT_EQ(failure(login), "");
  EXPECT_THAT(testing::read_file(login.known_hosts_file), HasSubstr(concat(":", sshd.port())));
  login.host_key_check = HostKeyCheck::strict;
  EXPECT_EQ(failure(login), "");
}

TEST_F(HostKeyTest, ConfigMayAcceptNewKeys) {
  const TestSshd sshd;
  LoginOptions login = sshd.login();
  login.known_hosts_file = sshd.file("new");
  login.config_file = sshd.file("ssh_config");
  testing::write_file(login.config_file,
                      "Host other\n StrictHostKeyChecking no\n"
                      "Host 127.*\n StrictHostKeyChecking accept-new\n");
  login.host_key_check = HostKeyCheck::strict;  // wins
  EXPECT_EQ(failure(login), kUnknown);
  login.host_key_check.reset();
  EXPECT_EQ(failure(login), "");
}

TEST_F(HostKeyTest, AskShowsTheFingerprint) {
  const TestSshd sshd;
  const std::string shown =
      testing::run_command({"ssh-keygen", "-l", "-f", sshd.file("host_key.pub")}).out;
  const std::string fingerprint = shown.substr(shown.find("SHA256:"), 50);
  LoginOptions login = sshd.login();
  login.known_hosts_file = sshd.file("asked");
  login.host_key_check = HostKeyCheck::ask;
  std::string prompt;
  const auto answering = [&prompt](const char* answer) {
    return [&prompt, answer](const std::string& text, bool /*echo*/) {
      prompt = text;
      return std::optional<std::string>(answer);
    };
  };
  EXPECT_EQ(failure(login, answering("no")), kUnknown);
  EXPECT_THAT(prompt, HasSubstr(fingerprint));
  EXPECT_EQ(failure(login, answering("yes")), "");
}

TEST_F(HostKeyTest, ChangedKeyIsRefusedWhateverIsSet) {
  const TestSshd sshd;
  testing::write_file(
      sshd.file("known_hosts"),
      concat("[127.0.0.1]:", sshd.port(), " ", testing::read_file(sshd.file("user_key.pub"))));
  for (const auto check : {HostKeyCheck::strict, HostKeyCheck::accept_new, HostKeyCheck::off}) {
    LoginOptions login = sshd.login();
    login.host_key_check = check;
    EXPECT_THAT(failure(login),
                MatchesRegex("the key of 127.0.0.1 has changed \\(SHA256:.* now\\): it may be an "
                             "attack; remove the old one with: ssh-keygen -f .*known_hosts -R "
                             "'\\[127.0.0.1\\]:.*'"));
  }
}

TEST_F(HostKeyTest, TheProgramTellsTheSame) {
  const TestSshd sshd;
  LoginOptions login = sshd.login();
  login.ssh_command = "ssh";
  login.known_hosts_file = sshd.file("nothing");
  login.host_key_check = HostKeyCheck::strict;
  const auto transport = connect(login, nullptr);
  ASSERT_TRUE(transport);
  const auto stream = (*transport)->exec("true");
  ASSERT_TRUE(stream);
  std::array<uint8_t, 16> buffer;
  Result<size_t> got = 0;
  while (got) {
    ASSERT_TRUE((*stream)->wait(false, -1, 10'000));
    got = (*stream)->read_some(buffer);
  }
  EXPECT_EQ(got.error().code, Errc::host_key) << got.error().context;
}

TEST_F(HostKeyTest, RevokedKeyIsRefused) {
  const TestSshd sshd;
  const std::string known = testing::read_file(sshd.file("known_hosts"));
  testing::write_file(sshd.file("known_hosts"), concat(known, "@revoked ", known));
  EXPECT_THAT(failure(sshd.login()), HasSubstr("is marked @revoked in known_hosts"));
}

TEST_F(HostKeyTest, CertificateAuthorityNeedsTheProgram) {
  const TestSshd sshd;
  testing::write_file(sshd.file("known_hosts"),
                      concat("@cert-authority * ", testing::read_file(sshd.file("user_key.pub"))));
  LoginOptions login = sshd.login();
  login.host_key_check = HostKeyCheck::accept_new;
  EXPECT_THAT(failure(login), HasSubstr("needs -o ssh_command=ssh"));
}

}  // namespace
}  // namespace cpaway::transport
