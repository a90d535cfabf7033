// A fixed pool of threads that runs jobs, and strands that run theirs one after the other.
//
// Jobs do not wait for the network and do not throw. The queue is bounded by its producers: each
// job belongs to a buffer or request that is itself bounded.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/mutex.h"

namespace cpaway {

class Executor {
 public:
  using Job = std::function<void()>;

  // Threads are named `name` (15 characters at most, as seen in ps and gdb).
  Executor(const std::string& name, size_t thread_count);
  // Runs what is queued, then joins.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void post(Job job) CPAWAY_EXCLUDES(mutex_);

 private:
  void run() CPAWAY_EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar available_;
  std::deque<Job> jobs_ CPAWAY_GUARDED_BY(mutex_);
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // constant after construction
};

// Jobs posted to one strand run in their order, never two at once, on the executor's threads.
// The strand may be destroyed while jobs are queued: they still run. The executor outlives it.
class Strand {
 public:
  explicit Strand(Executor& executor) : state_(std::make_shared<State>(executor)) {}
  void post(Executor::Job job) const;

 private:
  struct State {
    explicit State(Executor& e) : executor(e) {}
    Executor& executor;
    Mutex mutex;
    std::deque<Executor::Job> jobs CPAWAY_GUARDED_BY(mutex);
    bool running CPAWAY_GUARDED_BY(mutex) = false;
  };
  static void run_one(const std::shared_ptr<State>& state);

  std::shared_ptr<State> state_;
};

}  // namespace cpaway
