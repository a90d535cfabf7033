#include "engine/agent/byte_budget.h"

namespace cpaway::agent {

void ByteBudget::take(size_t size) {
  const MutexLock lock(mutex_);
  while (used_ > 0 && used_ + size > limit_) {
    freed_.wait(mutex_);
  }
  used_ += size;
}

void ByteBudget::give_back(size_t size) {
  {
    const MutexLock lock(mutex_);
    used_ -= size;
  }
  freed_.notify_one();
}

}  // namespace cpaway::agent
