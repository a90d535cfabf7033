// cpaway-link: two network namespaces of its own, and a slow, far, lossy link between them.
//
//   cpaway-link [--rate BIT/S] [--delay MS] [--loss P] [--queue BYTES] [--mtu N] [--seed N]
//
// Prints one line of JSON when the link is up: the namespaces of both ends, as `nsenter --net=PATH`
// takes them, and their addresses. Then it takes commands on standard input (link_control.h) until
// that ends. The namespaces have no names and live as long as this program and what runs in them;
// the link itself ends with this program, whatever ends it. Needs root.
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "engine/base/strings.h"
#include "tests/support/link_control.h"
#include "tests/support/net_namespace.h"
#include "tests/support/tun_device.h"

namespace cpaway::testing {
namespace {

constexpr const char* kNearAddress = "10.77.0.1";
constexpr const char* kFarAddress = "10.77.0.2";
constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kTickNs = 50'000;  // what is due within one tick is handed over together

struct Options {
  LinkShape shape;
  int mtu = 1500;
  uint64_t seed = 1;
};

template <typename T>
Status parse_integer(std::string_view text, T least, T most, T& into) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
  if (failed != std::errc() || end != text.data() + text.size() || into < least || into > most) {
    return fail(Errc::invalid, concat("not a number from ", least, " to ", most, ": ", text));
  }
  return {};
}

Status set_option(Options& options, std::string_view key, std::string_view value) {
  if (key == "mtu") {
    return parse_integer(value, 576, 65535, options.mtu);
  }
  if (key == "seed") {
    return parse_integer<uint64_t>(value, 0, UINT64_MAX, options.seed);
  }
  return set_shape(options.shape, key, value);
}

Result<Options> parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (!name.starts_with("--") || i + 1 == argc) {
      return fail(Errc::invalid, concat("option without a value, or no option: ", name));
    }
    CPAWAY_TRY(set_option(options, name.substr(2), argv[i + 1]));
  }
  return options;
}

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

// Until the tick in which it is due has passed; null: no limit.
const timespec* time_until(std::optional<int64_t> due_ns, timespec& wait) {
  if (!due_ns) {
    return nullptr;
  }
  const int64_t tick_end_ns = (*due_ns / kTickNs + 1) * kTickNs;
  const int64_t wait_ns = std::max<int64_t>(tick_end_ns - now_ns(), 0);
  wait = {wait_ns / kNsPerSecond, wait_ns % kNsPerSecond};
  return &wait;
}

// A wire does not wait for other programs. Where this may not be asked for, the link is less exact.
void run_before_others() {
  prctl(PR_SET_TIMERSLACK, 1);
  sched_param priority = {};
  priority.sched_priority = 1;
  sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &priority);
}

class Program {
 public:
  Program(LinkEnd near, LinkEnd far, const Options& options)
      : near_(std::move(near)),
        far_(std::move(far)),
        relay_(near_.tun.get(), far_.tun.get(), options.shape, options.seed),
        control_(relay_) {}

  Status announce() const {
    return write_full(
        STDOUT_FILENO,
        as_bytes(concat("{\"near\":\"", path_of_fd(near_.net_namespace.get()), "\",\"far\":\"",
                        path_of_fd(far_.net_namespace.get()), "\",\"near_address\":\"",
                        kNearAddress, "\",\"far_address\":\"", kFarAddress, "\"}\n")));
  }

  Status run() {
    while (!control_.quit()) {
      relay_.pump(now_ns());
      std::array<pollfd, 3> ready = {pollfd{near_.tun.get(), POLLIN, 0},
                                     pollfd{far_.tun.get(), POLLIN, 0},
                                     pollfd{STDIN_FILENO, POLLIN, 0}};
      timespec wait = {};
      const timespec* timeout = time_until(relay_.next_due_ns(), wait);
      if (ppoll(ready.data(), ready.size(), timeout, nullptr) < 0 && errno != EINTR) {
        return fail_os(errno, "poll");
      }
      if (ready[2].revents != 0) {
        CPAWAY_ASSIGN(const bool more, take_commands());
        if (!more) {
          return {};
        }
      }
    }
    return {};
  }

 private:
  // False at the end of standard input.
  Result<bool> take_commands() {
    std::array<char, 4096> input;
    const ssize_t count = read(STDIN_FILENO, input.data(), input.size());
    if (count <= 0) {
      return false;
    }
    CPAWAY_TRY(write_full(STDOUT_FILENO,
                          as_bytes(control_.take({input.data(), static_cast<size_t>(count)}))));
    return true;
  }

  LinkEnd near_;
  LinkEnd far_;
  LinkRelay relay_;
  LinkControl control_;
};

Status run(int argc, char** argv) {
  CPAWAY_ASSIGN(const Options options, parse_options(argc, argv));
  CPAWAY_ASSIGN(LinkEnd far, make_link_end(kFarAddress, options.mtu));
  CPAWAY_ASSIGN(LinkEnd near, make_link_end(kNearAddress, options.mtu));
  Program program(std::move(near), std::move(far), options);
  run_before_others();
  CPAWAY_TRY(program.announce());
  return program.run();
}

}  // namespace
}  // namespace cpaway::testing

int main(int argc, char** argv) {
  const cpaway::Status done = cpaway::testing::run(argc, argv);
  if (!done) {
    std::fprintf(stderr, "cpaway-link: %s\n", done.error().to_string().c_str());
    return 1;
  }
  return 0;
}
