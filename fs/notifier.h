// Tells the kernel what it must not believe any more, from a thread of its own: inside a request a
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
  // Drops what is queued and later calls where there is no session yet (null) or no more.
  void set_session(fuse_session* session) CPAWAY_EXCLUDES(mutex_);

  // The attributes of an inode, and with `data` its page cache; then `done`, where it is given.
  void invalidate_inode(uint64_t id, bool data, std::function<void()> done = nullptr);
  // A name that is not there any more, or means another inode.
  void invalidate_entry(uint64_t parent, std::string name);

 private:
  Mutex mutex_;  // held across a notification, so that the session outlives it
  fuse_session* session_ CPAWAY_GUARDED_BY(mutex_) = nullptr;
  Executor thread_{"cpaway-notify", 1};
};

}  // namespace cpaway::fs
