// Looks after requests whose program got a signal: asks each, again and again, whether it can be
// let go. A thread of its own, asleep while there are none.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"

namespace cpaway::fs {

class InterruptWatch {
 public:
  // Asked at once and then every kPeriodMs; true: never again. Must not block.
  using Check = std::function<bool()>;
  static constexpr int64_t kPeriodMs = 100;

  // Sends the agent a ping, and calls `answered` once that is answered, or fails.
  using Ping = std::function<void(std::function<void()> answered)>;
  static constexpr int64_t kAskAgainMs = 1000;
  static constexpr int64_t kSilentMs = 3000;

  explicit InterruptWatch(Ping ping);
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  void add(Check check) CPAWAY_EXCLUDES(mutex_);
  // For a check. Sends a ping; true where one has had no answer for kSilentMs.
  [[nodiscard]] bool is_agent_silent();

 private:
  struct Asked {
    std::atomic<int64_t> since_ms{0};     // monotonic; 0: nothing is due
    std::atomic<int64_t> answered_ms{0};  // monotonic
  };

  void run() CPAWAY_EXCLUDES(mutex_);

  const Ping ping_;
  const std::shared_ptr<Asked> asked_ = std::make_shared<Asked>();  // answers may outlive this
  Mutex mutex_;
  CondVar changed_;
  std::vector<Check> added_ CPAWAY_GUARDED_BY(mutex_);
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace cpaway::fs
