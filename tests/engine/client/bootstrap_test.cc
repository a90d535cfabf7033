// Finding, pushing and starting the real agent: under a local shell, and through a real sshd.
#include "engine/client/bootstrap.h"

#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "engine/client/agent_binary.h"
#include "engine/client/bootstrap_script.h"
#include "engine/wire/message.h"
#include "tests/support/run_command.h"
#include "tests/support/test_sshd.h"
#include "tests/support/wait_until.h"

namespace cpaway::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TestSshd;

constexpr int64_t kTimeoutMs = 20'000;

std::string agent_name() {
  const auto agent = load_agent(CPAWAY_AGENT);
  CHECK(agent.has_value());
  return agent->name;
}

// The agent ends well when its input does.
void expect_agent(Stream& stream) {
  stream.close_write();
  std::array<uint8_t, 64> buffer;
  while (stream.read_some(buffer)) {
    ASSERT_TRUE(stream.wait(false, -1, kTimeoutMs));
  }
  EXPECT_EQ(stream.exit_status(), 0) << stream.take_stderr();
}

void expect_started(transport::Transport& transport,
                    const AgentOptions& options = {CPAWAY_AGENT, ""}) {
  auto agent = start_agent(transport, options, kTimeoutMs);
  ASSERT_TRUE(agent) << agent.error().to_string();
  expect_agent(**agent);
}

std::string failure(transport::Transport& transport, const AgentOptions& options,
                    int64_t timeout_ms = kTimeoutMs, Errc code = Errc::exec) {
  const auto agent = start_agent(transport, options, timeout_ms);
  if (agent) {
    return "";
  }
  EXPECT_EQ(agent.error().code, code) << agent.error().to_string();
  return agent.error().context;
}

// Commands run under the local shell, with a home of its own.
class LocalBootstrap : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("XDG_CACHE_HOME", dir_.path().c_str(), 1);
    unsetenv("XDG_RUNTIME_DIR");
  }
  void TearDown() override { unsetenv("XDG_CACHE_HOME"); }
  [[nodiscard]] std::string stored() const { return dir_.file(concat("cpaway/", agent_name())); }
  [[nodiscard]] std::vector<std::string> stored_names() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.file("cpaway"))) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  testing::TempDir dir_;
  std::unique_ptr<transport::Transport> local_ = transport::local_transport();
};

TEST_F(LocalBootstrap, PushesOnceAndFindsItThen) {
  expect_started(*local_);
  struct stat first {};
  ASSERT_EQ(stat(stored().c_str(), &first), 0);
  EXPECT_EQ(first.st_mode & 07777U, 0700U);
  EXPECT_EQ(testing::read_file(stored()), testing::read_file(CPAWAY_AGENT));
  EXPECT_THAT(stored_names(), ::testing::ElementsAre(agent_name()));
  expect_started(*local_);
  struct stat second {};
  ASSERT_EQ(stat(stored().c_str(), &second), 0);
  EXPECT_EQ(first.st_ino, second.st_ino);
}

TEST_F(LocalBootstrap, ReplacesADamagedAgent) {
  expect_started(*local_);
  testing::write_file(stored(), "#!/bin/sh\necho not the agent\n", 0700);
  expect_started(*local_);
  EXPECT_EQ(testing::read_file(stored()), testing::read_file(CPAWAY_AGENT));
}

TEST_F(LocalBootstrap, RemovesVersionsThatNobodyUses) {
  ASSERT_EQ(mkdir(dir_.file("cpaway").c_str(), 0700), 0);
  testing::write_file(dir_.file("cpaway/cpaway-agent-0.0.1-old"), "old");
  testing::write_file(dir_.file("cpaway/cpaway-agent-0.0.2-used"), "used");
  testing::write_file(dir_.file("cpaway/.cpaway-agent.tmp.1"), "broken off");
  testing::must_run({"touch", "-d", "40 days ago", dir_.file("cpaway/cpaway-agent-0.0.1-old"),
                     dir_.file("cpaway/.cpaway-agent.tmp.1")});
  expect_started(*local_);
  EXPECT_THAT(stored_names(),
              ::testing::UnorderedElementsAre(agent_name(), "cpaway-agent-0.0.2-used"));
}

TEST_F(LocalBootstrap, ReadsItBackWhereNothingComputesDigests) {
  const std::string bin = dir_.file("bin");
  ASSERT_EQ(mkdir(bin.c_str(), 0755), 0);
  for (const char* tool : {"cat", "chmod", "find", "id", "ls", "mkdir", "mv", "rm", "uname"}) {
    std::filesystem::create_symlink(concat("/usr/bin/", tool), concat(bin, "/", tool));
  }
  const std::string path = std::getenv("PATH");
  setenv("PATH", bin.c_str(), 1);
  expect_started(*local_);
  expect_started(*local_);
  testing::write_file(stored(), "damaged", 0700);
  expect_started(*local_);
  setenv("PATH", path.c_str(), 1);
}

TEST_F(LocalBootstrap, RefusesADirectoryThatOthersMayChange) {
  ASSERT_EQ(mkdir(dir_.file("cpaway").c_str(), 0700), 0);
  ASSERT_EQ(chmod(dir_.file("cpaway").c_str(), 0777), 0);
  const auto agent = load_agent(CPAWAY_AGENT);
  ASSERT_TRUE(agent);
  const auto pushed = testing::run_command({"sh", "-c", push_command(*agent, 0)});
  EXPECT_THAT(pushed.out, HasSubstr(concat(kPushMark, "unsafe")));
  EXPECT_TRUE(stored_names().empty());
}

TEST_F(LocalBootstrap, AgentOfAnotherMachine) {
  std::string content = testing::read_file(CPAWAY_AGENT);
  content[offsetof(Elf64_Ehdr, e_machine)] = static_cast<char>(EM_S390);
  testing::write_file(dir_.file("other"), content);
  EXPECT_THAT(failure(*local_, {dir_.file("other"), ""}),
              ::testing::MatchesRegex("the remote host is Linux .*; no agent for it at .*/other"));
}

TEST_F(LocalBootstrap, NoAgentOnThisHost) {
  EXPECT_EQ(failure(*local_, {"/no/such/agent", ""}),
            "cannot read the agent program /no/such/agent: No such file or directory");
  testing::write_file(dir_.file("script"), "#!/bin/sh\n", 0755);
  EXPECT_THAT(failure(*local_, {dir_.file("script"), ""}), HasSubstr("not a program for Linux"));
}

TEST_F(LocalBootstrap, GivenCommand) {
  expect_started(*local_, {"", CPAWAY_AGENT});
  EXPECT_EQ(failure(*local_, {"", "echo something else; exit 5"}),
            "echo something else; exit 5: the remote host does not run commands: instead of the "
            "agent, something ended with exit status 5: something else");
}

TEST_F(LocalBootstrap, StopsJustBehindTheStartMarker) {
  auto stream =
      start_agent(*local_,
                  {"",
                   "printf 'noise\\ncpaway-agent-ready\\n%s\\n' x; printf '\\ncpaway-agent-"
                   "ready-7f2c9e41\\n'; printf first; cat"},
                  kTimeoutMs);
  ASSERT_TRUE(stream) << stream.error().to_string();
  std::string output;
  std::array<uint8_t, 64> buffer;
  while (output.size() < 5) {
    ASSERT_TRUE((*stream)->wait(false, -1, kTimeoutMs));
    const auto got = (*stream)->read_some(buffer);
    ASSERT_TRUE(got);
    output.append(as_text(ByteSpan(buffer).first(*got)));
  }
  EXPECT_EQ(output, "first");
}

TEST_F(LocalBootstrap, EndlessNoise) {
  EXPECT_THAT(failure(*local_, {"", "exec yes"}), HasSubstr("it printed more than 262144 bytes"));
}

TEST_F(LocalBootstrap, Silence) {
  EXPECT_THAT(failure(*local_, {"", "exec sleep 1000"}, 300, Errc::timeout),
              StartsWith("no answer to the command that starts the agent"));
}

TEST(BootstrapScript, PassesAnyLoginShell) {
  const auto agent = load_agent(CPAWAY_AGENT);
  ASSERT_TRUE(agent);
  for (const std::string& command : {find_command(*agent), push_command(*agent, 2),
                                     fetch_command(*agent, 1), start_command(*agent, 1)}) {
    EXPECT_TRUE(command.starts_with("exec /bin/sh -c '"));
    EXPECT_TRUE(command.ends_with("'"));
    const std::string script = command.substr(17, command.size() - 18);
    EXPECT_EQ(script.find_first_of("'\\!\n"), std::string::npos);
  }
}

// A mount namespace for what this thread starts; mounts in it go with it.
class PrivateMounts {
 public:
  PrivateMounts() : before_(open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
    CHECK(before_ && unshare(CLONE_NEWNS) == 0);
    CHECK(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  }
  ~PrivateMounts() {
    CHECK(setns(before_.get(), CLONE_NEWNS) == 0);
    for (const std::string& path : made_) {
      rmdir(path.c_str());
    }
  }
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;

  // A tmpfs of the user's own at `path`.
  void add(const std::string& path, const testing::TestUser& user, unsigned long flags,
           const std::string& size) {
    if (mkdir(path.c_str(), 0700) == 0) {
      made_.push_back(path);
    }
    const std::string data = concat("mode=0700,uid=", user.uid, ",gid=", user.gid, ",size=", size);
    CHECK(mount("tmpfs", path.c_str(), "tmpfs", flags, data.c_str()) == 0);
  }

 private:
  UniqueFd before_;
  std::vector<std::string> made_;
};

class SshBootstrap : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!TestSshd::available()) {
      GTEST_SKIP() << "needs root and sshd";
    }
  }
  void open_sshd(const TestSshd::Options& options) {
    sshd_ = std::make_unique<TestSshd>(options);
    auto transport = transport::connect(sshd_->login(), nullptr);
    ASSERT_TRUE(transport) << transport.error().to_string();
    transport_ = std::move(*transport);
  }
  void open_sshd() { open_sshd({}); }
  void TearDown() override { transport_.reset(); }
  static TestSshd::Options forced(const std::string& command) {
    TestSshd::Options options;
    options.config = {concat("ForceCommand ", command)};
    return options;
  }
  // The directories that the remote host tries after its cache.
  [[nodiscard]] std::array<std::string, 2> spare_dirs() const {
    return {concat("/var/tmp/cpaway-", sshd_->user().uid),
            concat("/tmp/cpaway-", sshd_->user().uid)};
  }
  [[nodiscard]] std::string cache() const { return concat(sshd_->cache_dir(), "/cpaway"); }

  std::unique_ptr<TestSshd> sshd_;
  std::unique_ptr<transport::Transport> transport_;
};

TEST_F(SshBootstrap, PushesAndStarts) {
  open_sshd();
  expect_started(*transport_);
  EXPECT_EQ(testing::read_file(concat(cache(), "/", agent_name())),
            testing::read_file(CPAWAY_AGENT));
  expect_started(*transport_);
}

TEST_F(SshBootstrap, ByTheSshProgram) {
  open_sshd();
  transport::LoginOptions login = sshd_->login();
  login.ssh_command = "ssh";
  auto program = transport::connect(login, nullptr);
  ASSERT_TRUE(program);
  expect_started(**program);
  login.identity_files = {sshd_->file("host_key")};
  program = transport::connect(login, nullptr);
  ASSERT_TRUE(program);
  EXPECT_THAT(failure(**program, {CPAWAY_AGENT, ""}, kTimeoutMs, Errc::auth),
              HasSubstr("Permission denied"));
}

TEST_F(SshBootstrap, NoisyLogin) {
  TestSshd::Options options;
  options.noisy = true;
  open_sshd(options);
  expect_started(*transport_);
  expect_started(*transport_);
}

TEST_F(SshBootstrap, ForcedCommandIsTheAgent) {
  open_sshd(forced(CPAWAY_AGENT));
  expect_started(*transport_);
}

TEST_F(SshBootstrap, SftpOnly) {
  open_sshd(forced("internal-sftp"));
  EXPECT_THAT(failure(*transport_, {CPAWAY_AGENT, ""}),
              HasSubstr("exit status 1: This service allows sftp connections only."));
  open_sshd(forced("/usr/lib/openssh/sftp-server"));  // waits for a greeting
  EXPECT_EQ(failure(*transport_, {CPAWAY_AGENT, ""}, 1000),
            "the remote host does not run commands: it allows sftp only");
}

TEST_F(SshBootstrap, SomethingElseAnswers) {
  open_sshd(forced("/bin/false"));
  EXPECT_EQ(failure(*transport_, {CPAWAY_AGENT, ""}),
            "the remote host does not run commands: instead of the agent, something ended with "
            "exit status 1");
  open_sshd(forced("/usr/sbin/nologin"));
  EXPECT_EQ(failure(*transport_, {CPAWAY_AGENT, ""}),
            "the remote host does not run commands: instead of the agent, something ended with "
            "exit status 1: This account is currently not available.");
}

TEST_F(SshBootstrap, SkipsDirectoriesThatAreNoexecOrFull) {
  PrivateMounts mounts;
  open_sshd();
  const auto spare = spare_dirs();
  mounts.add(cache(), sshd_->user(), MS_NOEXEC, "64m");
  mounts.add(spare[0], sshd_->user(), 0, "64k");
  mounts.add(spare[1], sshd_->user(), 0, "64m");
  // They are seen by the session too, which is in the namespace of its sshd.
  expect_started(*transport_);
  EXPECT_EQ(access(concat(spare[1], "/", agent_name()).c_str(), X_OK), 0);
  EXPECT_TRUE(std::filesystem::is_empty(cache()));
  EXPECT_TRUE(std::filesystem::is_empty(spare[0]));
}

TEST_F(SshBootstrap, NamesEachDirectoryThatFails) {
  PrivateMounts mounts;
  open_sshd();
  const auto spare = spare_dirs();
  mounts.add(cache(), sshd_->user(), MS_NOEXEC, "64m");
  mounts.add(spare[0], sshd_->user(), 0, "64k");
  testing::TestUser somebody = sshd_->user();
  somebody.uid = 0;
  mounts.add(spare[1], somebody, 0, "64m");
  EXPECT_EQ(failure(*transport_, {CPAWAY_AGENT, ""}),
            concat("no directory of the remote host can hold the agent: ", cache(),
                   ": mounted noexec; ", spare[0], ": no space left; ", spare[1],
                   ": not a directory of the user's own with mode 0700"));
}

TEST_F(SshBootstrap, LostLink) {
  open_sshd();
  sshd_->kill_sessions();
  EXPECT_NE(failure(*transport_, {CPAWAY_AGENT, ""}, kTimeoutMs, Errc::connection_lost), "");
}

}  // namespace
}  // namespace cpaway::client
