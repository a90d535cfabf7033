#include "engine/base/executor.h"

#include <pthread.h>

#include <utility>

namespace cpaway {

Executor::Executor(const std::string& name, size_t thread_count) {
  for (size_t i = 0; i < thread_count; ++i) {
    threads_.emplace_back([this, name] {
      pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
      run();
    });
  }
}

Executor::~Executor() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  available_.notify_all();
  for (auto& thread : threads_) {
    thread.join();
  }
}

void Executor::post(Job job) {
  {
    const MutexLock lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  available_.notify_one();
}

void Executor::run() {
  for (;;) {
    Job job;
    {
      const MutexLock lock(mutex_);
      while (jobs_.empty() && !stopping_) {
        available_.wait(mutex_);
      }
      if (jobs_.empty()) {
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Strand::post(Executor::Job job) const {
  {
    const MutexLock lock(state_->mutex);
    state_->jobs.push_back(std::move(job));
    if (state_->running) {
      return;
    }
    state_->running = true;
  }
  state_->executor.post([state = state_] { run_one(state); });
}

// One job a turn, so that a busy strand does not keep a thread from the others.
void Strand::run_one(const std::shared_ptr<State>& state) {
  Executor::Job job;
  {
    const MutexLock lock(state->mutex);
    job = std::move(state->jobs.front());
    state->jobs.pop_front();
  }
  job();
  job = nullptr;
  {
    const MutexLock lock(state->mutex);
    if (state->jobs.empty()) {
      state->running = false;
      return;
    }
  }
  state->executor.post([state] { run_one(state); });
}

}  // namespace cpaway
