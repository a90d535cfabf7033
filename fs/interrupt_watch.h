// Looks after requests whose program got a signal: asks each, again and again, whether it can be
// let go. A thread of its own, asleep while there are none.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"

namespace cpaway::fs {

class InterruptWatch {
 public:
  // Asked at once and then every kPeriodMs; true: never again. Must not block.
  using Check = std::function<bool()>;
  static constexpr int64_t kPeriodMs = 100;

  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  void add(Check check) CPAWAY_EXCLUDES(mutex_);

 private:
  void run() CPAWAY_EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::vector<Check> added_ CPAWAY_GUARDED_BY(mutex_);
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace cpaway::fs
