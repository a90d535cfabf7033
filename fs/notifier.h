// Tells the kernel what it must not believe any more, from threads of its own: inside a request a
// notification can deadlock with it (fuse_lowlevel_notify_inval_entry(3)).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/executor.h"

struct fuse_session;

namespace cpaway::fs {

class Notifier {
 public:
  using Done = std::function<void()>;

  // Calls where there is no session yet or no more only call `done`, at once.
  void set_session(fuse_session* session) CPAWAY_EXCLUDES(mutex_);
  // From now on what may wait for a program's request is left out: nobody reads those any more.
  void leave_waiting() CPAWAY_EXCLUDES(mutex_);
  // Ends the session here. False where a notification still waits in the kernel after `timeout_ms`.
  [[nodiscard]] bool end_session(int64_t timeout_ms) CPAWAY_EXCLUDES(mutex_);

  // The attributes of an inode, and with `data` its page cache; then `done`, where it is given.
  // Without `data` at once: nothing in the kernel is waited for. With it the pages that are being
  // read are waited for.
  void invalidate_inode(uint64_t id, bool data, Done done = nullptr) CPAWAY_EXCLUDES(mutex_);
  // A name that is not there any more, or means another inode. Waits for changes to the directory.
  void invalidate_entry(uint64_t parent, std::string name) CPAWAY_EXCLUDES(mutex_);

 private:
  using Call = std::function<int(fuse_session*)>;  // 0 or a negative errno
  void post(Executor& thread, const char* what, Call call, Done done) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool waits(const Executor& thread) const { return &thread != &thread_; }

  Mutex mutex_;
  CondVar ended_;
  fuse_session* session_ CPAWAY_GUARDED_BY(mutex_) = nullptr;
  bool leaves_waiting_ CPAWAY_GUARDED_BY(mutex_) = false;
  uint32_t queued_ CPAWAY_GUARDED_BY(mutex_) = 0;  // and running: the session outlives them
  Executor thread_{"cpaway-notify", 1};
  Executor data_thread_{"cpaway-notify-d", 1};
  Executor entry_thread_{"cpaway-notify-e", 1};
};

}  // namespace cpaway::fs
