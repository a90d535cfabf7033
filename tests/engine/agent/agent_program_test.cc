// The program: its binary, its exit codes, and how it ends.
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "engine/wire/names.h"
#include "engine/wire/pack.h"
#include "tests/support/run_command.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

// A running agent on two pipes.
class Program {
 public:
  Program() {
    int in[2];
    int out[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], STDIN_FILENO);
      ::dup2(out[1], STDOUT_FILENO);
      ::execl(CPAWAY_AGENT, "cpaway-agent", nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    to_.reset(in[1]);
    from_.reset(out[0]);
    Bytes marker(wire::kStartMarker.size());
    EXPECT_EQ(read_full(from_.get(), marker).value(), marker.size());
    EXPECT_EQ(as_text(marker), wire::kStartMarker);
  }
  ~Program() {
    to_.reset();
    if (pid_ > 0) {
      EXPECT_EQ(wait(), 0);
    }
  }

  void send(const wire::Frame& frame) {
    EXPECT_TRUE(write_full(to_.get(), frame.head));
    if (frame.bulk) {
      EXPECT_TRUE(write_full(to_.get(), *frame.bulk));
    }
  }
  // The body of the next frame's answer; whatever it was, where `frame` goes.
  Result<wire::Incoming> receive() {
    for (;;) {
      CPAWAY_ASSIGN(auto frame, frames_.next());
      if (frame) {
        return std::move(*frame);
      }
      const auto space = frames_.space();
      const ssize_t n = ::read(from_.get(), space.data(), space.size());
      if (n <= 0) {
        return fail(Errc::connection_lost, "agent");
      }
      frames_.filled(static_cast<size_t>(n));
    }
  }
  void close_input() { to_.reset(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  int wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  UniqueFd to_;
  UniqueFd from_;
  wire::FrameReader frames_;
};

// An upload of "f" that has got its first block.
void start_transfer(Program& program, const TempDir& dir) {
  wire::Hello hello;
  hello.directory = dir.path();
  program.send(wire::pack(1, hello));
  program.send(wire::pack(2, wire::Init{1, "f", {}}));
  for (int i = 0; i < 2; ++i) {
    const auto frame = program.receive();
    ASSERT_TRUE(frame);
    ASSERT_TRUE(wire::open_reply(frame->body()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  const auto text = std::make_shared<const Bytes>(Bytes{'t', 'e', 'x', 't'});
  program.send(wire::pack(3, wire::Block{1, 0, hash::block_hash(*text)}, text));
  const auto frame = program.receive();
  ASSERT_TRUE(frame);
  ASSERT_EQ(frame->op, wire::Op::ack);
}

// What the next upload goes on with, and nothing else.
void expect_checkpoint(const TempDir& dir) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
    names.push_back(entry.path().filename());
  }
  ASSERT_EQ(names, std::vector<std::string>{wire::staging_name_of("f")});
  EXPECT_EQ(read_file(dir.file(names[0])), "text");
}

TEST(AgentProgram, IsOneSmallStaticBinary) {
  std::ifstream file(CPAWAY_AGENT, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  ASSERT_TRUE(file);
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof segment));
    file.read(reinterpret_cast<char*>(&segment), sizeof segment);
    EXPECT_NE(segment.p_type, static_cast<uint32_t>(PT_INTERP)) << "needs a dynamic linker";
  }
#ifdef NDEBUG
  EXPECT_LT(std::filesystem::file_size(CPAWAY_AGENT), 6U << 20U);
#endif
}

TEST(AgentProgram, IsSmallInMemoryWhenIdle) {
  const TempDir dir;
  Program program;
  start_transfer(program, dir);
  std::ifstream status(concat("/proc/", program.pid(), "/status"));
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      long kib = 0;
      status >> kib;
      EXPECT_LT(kib, 8 * 1024);
    }
  }
}

TEST(AgentProgram, EndsWithItsInputAndLeavesACheckpoint) {
  const TempDir dir;
  Program program;
  start_transfer(program, dir);
  program.close_input();
  EXPECT_EQ(program.wait(), 0);
  expect_checkpoint(dir);
}

TEST(AgentProgram, EndsBySignalAndLeavesACheckpoint) {
  for (const int signal : {SIGTERM, SIGHUP, SIGINT}) {
    const TempDir dir;
    Program program;
    start_transfer(program, dir);
    ASSERT_EQ(::kill(program.pid(), signal), 0);
    EXPECT_EQ(program.wait(), 0);
    expect_checkpoint(dir);
  }
}

TEST(AgentProgram, ExitCodesNameTheTrouble) {
  {
    Program program;
    program.send({{0xff, 0xff, 0xff, 0xff, 0}, nullptr});
    EXPECT_EQ(program.wait(), 3);
  }
  {
    Program program;
    wire::Hello hello;
    hello.min_version = hello.max_version = 99;
    program.send(wire::pack(1, hello));
    EXPECT_EQ(program.wait(), 4);
  }
  EXPECT_EQ(run_command({CPAWAY_AGENT, "--mode", "x"}).exit_status, 2);
  EXPECT_EQ(run_command({CPAWAY_AGENT, "--no-such"}).exit_status, 2);
  EXPECT_EQ(run_command({CPAWAY_AGENT, "argument"}).exit_status, 2);
  EXPECT_EQ(run_command({CPAWAY_AGENT, "--version"}).out, "cpaway-agent " CPAWAY_VERSION "\n");
  EXPECT_EQ(run_command({CPAWAY_AGENT, "--help"}).exit_status, 0);
  EXPECT_EQ(run_command({"env", "CPAWAY_FAULT=no_such", CPAWAY_AGENT}).exit_status, 2);
}

TEST(AgentProgram, AppliesNoUmask) {
  const TempDir dir;
  Program program;
  start_transfer(program, dir);
  program.send(wire::pack(4, wire::MkDir{"d", 0777}));
  ASSERT_TRUE(program.receive());
  struct stat st {};
  ASSERT_EQ(::stat(dir.file("d").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode, 040777U);
}

}  // namespace
}  // namespace cpaway::testing
