// Jobs that run later: one thread for all of them.
//
// For waits that are not worth a thread each, such as trying again in a moment. A job must not
// block. Thread-safe. Jobs that are not due when the timer ends are dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>

#include "engine/base/mutex.h"

namespace cpaway {

class Timer {
 public:
  using Job = std::function<void()>;

  Timer() = default;
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void after(int64_t delay_ms, Job job) CPAWAY_EXCLUDES(mutex_);

 private:
  void run() CPAWAY_EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::multimap<int64_t, Job> jobs_ CPAWAY_GUARDED_BY(mutex_);  // by when they are due, monotonic
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread thread_ CPAWAY_GUARDED_BY(mutex_);  // from the first job on
};

}  // namespace cpaway
