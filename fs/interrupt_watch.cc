#include "fs/interrupt_watch.h"

#include <pthread.h>

#include <iterator>
#include <utility>

namespace cpaway::fs {

InterruptWatch::InterruptWatch() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "cpaway-intr");
    run();
  });
}

InterruptWatch::~InterruptWatch() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void InterruptWatch::add(Check check) {
  {
    const MutexLock lock(mutex_);
    added_.push_back(std::move(check));
  }
  changed_.notify_all();
}

void InterruptWatch::run() {
  std::vector<Check> checks;
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (added_.empty() && !stopping_) {
        if (checks.empty()) {
          changed_.wait(mutex_);
        } else if (!changed_.wait_for_ms(mutex_, kPeriodMs)) {
          break;
        }
      }
      if (stopping_) {
        return;
      }
      std::move(added_.begin(), added_.end(), std::back_inserter(checks));
      added_.clear();
    }
    std::erase_if(checks, [](const Check& check) { return check(); });
  }
}

}  // namespace cpaway::fs
