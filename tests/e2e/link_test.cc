// The emulated link itself, with real TCP over it, and a mount at its end. Bounds on speed are
// wide: the machine is busy.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "engine/base/check.h"
#include "tests/e2e/mounted_remote.h"
#include "tests/support/emulated_link.h"
#include "tests/support/net_namespace.h"

namespace cpaway::testing {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPort = 7;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

UniqueFd tcp_socket(const std::string& network) {
  const NetNamespaceScope scope(network);
  return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

sockaddr_in address_of(const std::string& text) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  address.sin_addr.s_addr = inet_addr(text.c_str());
  return address;
}

class Link : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!EmulatedLink::available()) {
      GTEST_SKIP() << "needs root and tun devices";
    }
  }

  void open(const std::string& rate, const std::string& delay) {
    link_ =
        std::make_unique<EmulatedLink>(std::vector<std::string>{"--rate", rate, "--delay", delay});
    listener_ = tcp_socket(link_->far_namespace());
    const sockaddr_in address = address_of(link_->far_address());
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    ASSERT_EQ(::listen(listener_.get(), 10), 0);
  }

  UniqueFd connect_near() {
    UniqueFd fd = tcp_socket(link_->near_namespace());
    const sockaddr_in address = address_of(link_->far_address());
    CHECK(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }

  // Sends `size` bytes up while the far end counts them in received_; waits for the end of both.
  void start_transfer(size_t size) {
    received_ = 0;
    receiver_ = std::thread([this] {
      const UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::vector<char> buffer(1 << 20);
      ssize_t count = 0;
      while ((count = ::read(fd.get(), buffer.data(), buffer.size())) > 0) {
        received_ += static_cast<size_t>(count);
      }
    });
    sender_ = std::thread([this, size] {
      const UniqueFd fd = connect_near();
      ignore(write_full(fd.get(), Bytes(size)), "the receiver's count tells");
    });
  }

  void finish_transfer() {
    sender_.join();
    receiver_.join();
  }

  EmulatedLink& link() { return *link_; }

  std::unique_ptr<EmulatedLink> link_;
  UniqueFd listener_;
  std::atomic<size_t> received_{0};
  std::thread receiver_;
  std::thread sender_;
};

TEST_F(Link, RoundTripTakesTwiceTheDelay) {
  open("100M", "20");
  double shortest_ms = 1e9;
  for (int i = 0; i < 10; ++i) {
    const auto start = Clock::now();
    const UniqueFd fd = connect_near();
    shortest_ms = std::min(shortest_ms, ms_since(start));
    EXPECT_GE(shortest_ms, 40);
  }
  EXPECT_LT(shortest_ms, 45);
}

TEST_F(Link, TransferReachesTheRateAndCountersAgree) {
  open("100M", "10");
  constexpr size_t kSize = 25'000'000;  // 2 s
  const auto start = Clock::now();
  start_transfer(kSize);
  finish_transfer();
  EXPECT_EQ(received_, kSize);
  EXPECT_GE(ms_since(start), 2000) << "faster than the wire";
  EXPECT_LE(ms_since(start), 2000 / 0.8);
  const LinkRelay::Stats stats = link().stats();
  EXPECT_GE(stats.up.bytes, kSize);
  EXPECT_LT(stats.up.bytes, kSize * 11 / 10);
  EXPECT_LT(stats.down.bytes, kSize / 10);
  EXPECT_GE(stats.up.packets, kSize / 1500);
  link().reset_stats();
  EXPECT_EQ(link().stats().up.packets, 0U);
}

TEST_F(Link, OutageStopsATransferAndThenItGoesOn) {
  open("100M", "10");
  constexpr size_t kSize = 10'000'000;
  start_transfer(kSize);
  ASSERT_TRUE(wait_until([this] { return received_ > kSize / 10; }));
  link().set_outage(true);
  const LinkRelay::Stats before = link().stats();
  // What is sent from now on is lost: after a while only what TCP tries again.
  ASSERT_TRUE(wait_until([&] { return link().stats().up.dropped > before.up.dropped + 2; }));
  EXPECT_LT(received_, kSize);
  EXPECT_EQ(link().stats().up.bytes, before.up.bytes);
  link().set_outage(false);
  finish_transfer();
  EXPECT_EQ(received_, kSize);
}

TEST_F(Link, LossCostsPacketsAndNoBytes) {
  open("100M", "1");
  link().set("loss=0.02");
  constexpr size_t kSize = 2'000'000;
  start_transfer(kSize);
  finish_transfer();
  EXPECT_EQ(received_, kSize);
  EXPECT_GT(link().stats().up.dropped, 0U);
}

TEST_F(Link, CommandRunsAtTheNearEnd) {
  open("100M", "1");
  const Finished inside = run_command(link().near_command({"readlink", "/proc/self/ns/net"}));
  EXPECT_EQ(inside.exit_status, 0) << inside.err;
  EXPECT_EQ(inside.out, std::filesystem::read_symlink(link().near_namespace()).string() + "\n");
  EXPECT_NE(inside.out, std::filesystem::read_symlink("/proc/self/ns/net").string() + "\n");
}

// Whatever ends the program: its namespaces had no names, and nobody is in them.
TEST_F(Link, NothingIsLeftOfIt) {
  for (const bool killed : {false, true}) {
    open("100M", "1");
    listener_.reset();
    const std::string near = link().near_namespace();
    const std::string name = std::filesystem::read_symlink(near).string();
    const std::vector<pid_t> programs = descendants(::getpid());
    ASSERT_EQ(programs.size(), 1U);
    if (killed) {
      ::kill(programs[0], SIGKILL);
      ASSERT_TRUE(wait_until([&] { return descendants(::getpid()).empty(); }));
    }
    link_.reset();
    EXPECT_TRUE(descendants(::getpid()).empty());
    EXPECT_FALSE(std::filesystem::exists(near));
    const std::string holders = "ls -l /proc/[0-9]*/ns/net 2>/dev/null | grep -cF '" + name + "'";
    EXPECT_EQ(run_command({"/bin/bash", "-c", holders}).out, "0\n");
  }
}

class MountedOverLink : public MountedRemote {
 protected:
  void SetUp() override {
    if (!EmulatedLink::available()) {
      GTEST_SKIP() << "needs root and tun devices";
    }
    link_ =
        std::make_unique<EmulatedLink>(std::vector<std::string>{"--rate", "100M", "--delay", "10"});
    set_networks(link_->near_namespace(), link_->far_namespace(), link_->far_address());
    MountedRemote::SetUp();
  }

  std::unique_ptr<EmulatedLink> link_;
};

TEST_F(MountedOverLink, CopyArrivesOverTheLink) {
  mount();
  constexpr size_t kSize = 5'000'000;
  const std::string file = make_file("f", kSize);
  link_->reset_stats();
  const auto start = Clock::now();
  must("cp " + file + " " + on_mount("f"));
  EXPECT_GE(ms_since(start), kSize * 8 / 100e3) << "faster than the wire";
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file));
  const LinkRelay::Stats stats = link_->stats();
  EXPECT_GE(stats.up.bytes, kSize);
  EXPECT_LT(stats.up.bytes, kSize * 12 / 10);
}

}  // namespace
}  // namespace cpaway::testing
