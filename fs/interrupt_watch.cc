#include "fs/interrupt_watch.h"

#include <pthread.h>

#include <iterator>
#include <utility>

#include "engine/base/clock.h"

namespace cpaway::fs {

InterruptWatch::InterruptWatch(Ping ping) : ping_(std::move(ping)) {
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

bool InterruptWatch::is_agent_silent() {
  const int64_t now_ms = system_clock().now_ms();
  const int64_t since_ms = asked_->since_ms;
  if (since_ms != 0) {
    return now_ms - since_ms >= kSilentMs;
  }
  if (now_ms - asked_->answered_ms >= kAskAgainMs) {
    asked_->since_ms = now_ms;
    ping_([asked = asked_] {
      asked->answered_ms = system_clock().now_ms();
      asked->since_ms = 0;
    });
  }
  return false;
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
