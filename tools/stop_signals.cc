#include "tools/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "engine/base/clock.h"

namespace cpaway::tools {
namespace {

// One key press may arrive twice: timeout(1) signals its child, and then its whole group.
constexpr int64_t kSameRequestMs = 1000;

std::atomic<fs::Mount*> stopped_mount{nullptr};
std::atomic<int64_t> first_request_ms{0};
static_assert(std::atomic<fs::Mount*>::is_always_lock_free &&
              std::atomic<int64_t>::is_always_lock_free);

void handle(int number) {
  const int saved_errno = errno;
  const int64_t now_ms = system_clock().now_ms();
  int64_t first_ms = 0;
  if (!first_request_ms.compare_exchange_strong(first_ms, now_ms) &&
      now_ms - first_ms > kSameRequestMs) {
    _exit(128 + number);
  }
  if (fs::Mount* mount = stopped_mount.load()) {
    mount->stop();
  }
  errno = saved_errno;
}

// Without SA_RESTART: what the serving thread sleeps in must end for it to see the request.
void set_handlers(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction old = {};
    const bool ignored = sigaction(number, nullptr, &old) == 0 && old.sa_handler == SIG_IGN;
    if (number != SIGHUP || !ignored) {
      sigaction(number, &action, nullptr);
    }
  }
}

}  // namespace

StopSignals::~StopSignals() {
  forget();
  set_handlers(SIG_DFL);
}

void StopSignals::hold() {
  first_request_ms = 0;
  static_cast<void>(system_clock().now_ms());  // whatever it does once is done outside a handler
  set_handlers(handle);
}

void StopSignals::watch(fs::Mount& mount) {
  stopped_mount = &mount;
  if (requested()) {
    mount.stop();
  }
}

void StopSignals::forget() {
  stopped_mount = nullptr;
}

bool StopSignals::requested() const {
  return first_request_ms != 0;
}

}  // namespace cpaway::tools
