// Bounds the bytes of requests that wait for the pool: the reader waits here instead of reading on,
// and so the client's stream backs up. Thread-safe.
#pragma once

#include <cstddef>

#include "engine/base/mutex.h"

namespace cpaway::agent {

class ByteBudget {
 public:
  explicit ByteBudget(size_t limit) : limit_(limit) {}

  // Waits until `size` fits; one request larger than the limit is let through alone.
  void take(size_t size) CPAWAY_EXCLUDES(mutex_);
  void give_back(size_t size) CPAWAY_EXCLUDES(mutex_);

 private:
  const size_t limit_;
  Mutex mutex_;
  CondVar freed_;
  size_t used_ CPAWAY_GUARDED_BY(mutex_) = 0;
};

}  // namespace cpaway::agent
