#include "fs/notifier.h"

#include <fuse_lowlevel.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

namespace cpaway::fs {

void Notifier::set_session(fuse_session* session) {
  const MutexLock lock(mutex_);
  session_ = session;
}

void Notifier::leave_waiting() {
  const MutexLock lock(mutex_);
  leaves_waiting_ = true;
}

bool Notifier::end_session(int64_t timeout_ms) {
  const int64_t deadline_ms = system_clock().now_ms() + timeout_ms;
  const MutexLock lock(mutex_);
  session_ = nullptr;
  while (queued_ > 0) {
    const int64_t left_ms = deadline_ms - system_clock().now_ms();
    if (left_ms <= 0) {
      return false;
    }
    static_cast<void>(ended_.wait_for_ms(mutex_, left_ms));
  }
  return true;
}

void Notifier::post(Executor& thread, const char* what, Call call, Done done) {
  fuse_session* session = nullptr;
  {
    const MutexLock lock(mutex_);
    session = leaves_waiting_ && waits(thread) ? nullptr : session_;
    queued_ += session != nullptr ? 1 : 0;
  }
  if (session == nullptr) {
    if (done) {
      done();
    }
    return;
  }
  thread.post([this, &thread, session, what, call = std::move(call), done = std::move(done)] {
    bool left_out = false;
    {
      const MutexLock lock(mutex_);
      left_out = session_ == nullptr || (leaves_waiting_ && waits(thread));
    }
    const int result = left_out ? 0 : call(session);
    // ENOENT: the kernel does not know it, which is as good.
    if (result != 0 && result != -ENOENT) {
      log::debug(what, ": ", -result);
    }
    if (done) {
      done();
    }
    const MutexLock lock(mutex_);
    --queued_;
    ended_.notify_all();
  });
}

void Notifier::invalidate_inode(uint64_t id, bool data, Done done) {
  post(
      data ? data_thread_ : thread_, "invalidate inode",
      [id, data](fuse_session* session) {
        return fuse_lowlevel_notify_inval_inode(session, id, data ? 0 : -1, 0);
      },
      std::move(done));
}

void Notifier::invalidate_entry(uint64_t parent, std::string name) {
  post(
      entry_thread_, "invalidate entry",
      [parent, name = std::move(name)](fuse_session* session) {
        return fuse_lowlevel_notify_inval_entry(session, parent, name.c_str(), name.size());
      },
      nullptr);
}

}  // namespace cpaway::fs
