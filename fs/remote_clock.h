// The clock of the remote host, as far as its answers show it.
//
// An answer with a time says that the clock there had come that far when the answer arrived, and
// no more: now() is behind the true time by the shortest way of an answer back, and never ahead. So
// a file that is given this time is not older than what the agent's kernel has stamped before, as
// far as a program here can know of that, and not newer than what it stamps afterwards.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/base/mutex.h"
#include "engine/wire/message.h"

namespace cpaway::fs {

// CLOCK_BOOTTIME, nanoseconds: goes on while the machine sleeps.
[[nodiscard]] int64_t boottime_ns();

// Thread-safe; its mutex is a leaf.
class RemoteClock {
 public:
  explicit RemoteClock(int64_t (*now_ns)() = &boottime_ns) : now_ns_(now_ns) {}

  // What the clock showed before this is called; nothing where it is zero.
  void observe(const wire::Time& shown) CPAWAY_EXCLUDES(mutex_);
  // The clock here where nothing was observed yet.
  [[nodiscard]] wire::Time now() const CPAWAY_EXCLUDES(mutex_);

 private:
  // The two clocks may drift apart by this much of the time that passes.
  static constexpr int64_t kDriftDivisor = 10'000;
  // So many answers in a row that are late by more than this: the clock there was set back.
  static constexpr int64_t kLate_ns = 1'000'000'000;
  static constexpr int kMaxLate = 16;

  int64_t (*const now_ns_)();
  mutable Mutex mutex_;
  std::optional<int64_t> ahead_ns_ CPAWAY_GUARDED_BY(mutex_);  // of the clock here
  int64_t observed_ns_ CPAWAY_GUARDED_BY(mutex_) = 0;          // when, by that clock
  int64_t best_late_ns_ CPAWAY_GUARDED_BY(mutex_) = 0;         // of the late ones in a row
  int late_ CPAWAY_GUARDED_BY(mutex_) = 0;
};

}  // namespace cpaway::fs
