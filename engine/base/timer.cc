#include "engine/base/timer.h"

#include <pthread.h>

#include <utility>

#include "engine/base/clock.h"

namespace cpaway {

Timer::~Timer() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
    changed_.notify_all();
  }
  if (thread.joinable()) {
    thread.join();
  }
}

void Timer::after(int64_t delay_ms, Job job) {
  const MutexLock lock(mutex_);
  jobs_.emplace(system_clock().now_ms() + delay_ms, std::move(job));
  if (!thread_.joinable() && !stopping_) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "cpaway-timer");
      run();
    });
  }
  changed_.notify_all();
}

void Timer::run() {
  for (;;) {
    Job job;
    {
      const MutexLock lock(mutex_);
      while (!job) {
        const int64_t now_ms = system_clock().now_ms();
        if (stopping_) {
          return;
        }
        if (jobs_.empty()) {
          changed_.wait(mutex_);
        } else if (jobs_.begin()->first > now_ms) {
          changed_.wait_for_ms(mutex_, jobs_.begin()->first - now_ms);
        } else {
          job = std::move(jobs_.begin()->second);
          jobs_.erase(jobs_.begin());
        }
      }
    }
    job();
  }
}

}  // namespace cpaway
