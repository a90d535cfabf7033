// A mutex that clang's thread-safety analysis understands; `analyze` builds turn its findings into
// errors. Every mutex guards named members (CPAWAY_GUARDED_BY) or says in a comment what else.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define CPAWAY_TSA(x) __attribute__((x))
#else
#define CPAWAY_TSA(x)
#endif
#define CPAWAY_GUARDED_BY(x) CPAWAY_TSA(guarded_by(x))
#define CPAWAY_REQUIRES(...) CPAWAY_TSA(requires_capability(__VA_ARGS__))
#define CPAWAY_EXCLUDES(...) CPAWAY_TSA(locks_excluded(__VA_ARGS__))
#define CPAWAY_NO_ANALYSIS CPAWAY_TSA(no_thread_safety_analysis)

namespace cpaway {

class CPAWAY_TSA(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock() CPAWAY_TSA(acquire_capability()) { mutex_.lock(); }
  void unlock() CPAWAY_TSA(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class CPAWAY_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) CPAWAY_TSA(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() CPAWAY_TSA(release_capability()) { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits release and retake the mutex; they may wake for no reason, so callers loop.
class CondVar {
 public:
  void wait(Mutex& mutex) CPAWAY_REQUIRES(mutex) CPAWAY_NO_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False where the time passed first.
  bool wait_for_ms(Mutex& mutex, int64_t timeout_ms) CPAWAY_REQUIRES(mutex) CPAWAY_NO_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const auto status = condition_.wait_for(lock, std::chrono::milliseconds(timeout_ms));
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace cpaway
