#include "fs/remote_clock.h"

#include <algorithm>
#include <ctime>

#include "fs/attr_map.h"

namespace cpaway::fs {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;
// Beyond it nanoseconds overflow; no clock shows such a time.
constexpr int64_t kMaxSeconds = int64_t{1} << 32U;

}  // namespace

int64_t boottime_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * kSecond_ns + now.tv_nsec;
}

void RemoteClock::observe(const wire::Time& shown) {
  if (shown.seconds <= 0 || shown.seconds > kMaxSeconds || shown.nanoseconds >= kSecond_ns) {
    return;
  }
  const MutexLock lock(mutex_);
  const int64_t now_ns = now_ns_();
  const int64_t ahead_ns = shown.seconds * kSecond_ns + shown.nanoseconds - now_ns;
  if (ahead_ns_) {
    *ahead_ns_ -= (now_ns - observed_ns_) / kDriftDivisor;
  }
  observed_ns_ = now_ns;
  if (!ahead_ns_ || ahead_ns >= *ahead_ns_) {
    ahead_ns_ = ahead_ns;
    late_ = 0;
    return;
  }
  if (*ahead_ns_ - ahead_ns < kLate_ns) {
    late_ = 0;
    return;
  }
  best_late_ns_ = late_ == 0 ? ahead_ns : std::max(best_late_ns_, ahead_ns);
  if (++late_ == kMaxLate) {
    ahead_ns_ = best_late_ns_;
    late_ = 0;
  }
}

wire::Time RemoteClock::now() const {
  const MutexLock lock(mutex_);
  if (!ahead_ns_) {
    return now_time();
  }
  const int64_t time_ns = now_ns_() + *ahead_ns_;
  return {time_ns / kSecond_ns, static_cast<uint32_t>(time_ns % kSecond_ns)};
}

}  // namespace cpaway::fs
