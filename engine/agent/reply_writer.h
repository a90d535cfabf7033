// Puts whole frames on the agent's output, from any thread.
//
// One mutex is held while a frame is written, so that frames never mix; a client that does not
// read stops the writers here, and with them the agent: that is the back-pressure. The fault
// delay_reply_ms holds each frame back by that time on a thread of its own, so that delays overlap
// and nothing else waits (tests only; bounded by what the client has in flight).
#pragma once

#include <atomic>
#include <deque>
#include <thread>

#include "engine/base/mutex.h"
#include "engine/base/result.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {

class ReplyWriter {
 public:
  explicit ReplyWriter(int fd);
  // Writes at once what was held back.
  ~ReplyWriter();
  ReplyWriter(const ReplyWriter&) = delete;
  ReplyWriter& operator=(const ReplyWriter&) = delete;

  void send(wire::Frame frame) CPAWAY_EXCLUDES(mutex_, delayed_mutex_);
  // True once the client has gone; frames are dropped from then on.
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  struct Delayed {
    int64_t due_ms;
    wire::Frame frame;
  };
  void write_now(const wire::Frame& frame) CPAWAY_EXCLUDES(mutex_);
  void run_delayed() CPAWAY_EXCLUDES(delayed_mutex_);

  const int fd_;
  const int64_t delay_ms_;
  std::atomic<bool> broken_{false};
  Mutex mutex_;  // guards the order of bytes on fd_
  Mutex delayed_mutex_;
  CondVar delayed_changed_;
  std::deque<Delayed> delayed_ CPAWAY_GUARDED_BY(delayed_mutex_);
  bool stopping_ CPAWAY_GUARDED_BY(delayed_mutex_) = false;
  std::thread delayer_;  // where delay_ms_ > 0
};

}  // namespace cpaway::agent
