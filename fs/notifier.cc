#include "fs/notifier.h"

#include <fuse_lowlevel.h>

#include "engine/base/log.h"

namespace cpaway::fs {
namespace {

void note_result(const char* what, int result) {
  // ENOENT: the kernel does not know it, which is as good.
  if (result != 0 && result != -ENOENT) {
    log::debug(what, ": ", -result);
  }
}

}  // namespace

void Notifier::set_session(fuse_session* session) {
  const MutexLock lock(mutex_);
  session_ = session;
}

void Notifier::invalidate_inode(uint64_t id, bool data, std::function<void()> done) {
  thread_.post([this, id, data, done = std::move(done)] {
    {
      const MutexLock lock(mutex_);
      if (session_ != nullptr) {
        note_result("invalidate inode",
                    fuse_lowlevel_notify_inval_inode(session_, id, data ? 0 : -1, 0));
      }
    }
    if (done) {
      done();
    }
  });
}

void Notifier::invalidate_entry(uint64_t parent, std::string name) {
  thread_.post([this, parent, name = std::move(name)] {
    const MutexLock lock(mutex_);
    if (session_ != nullptr) {
      note_result("invalidate entry",
                  fuse_lowlevel_notify_inval_entry(session_, parent, name.c_str(), name.size()));
    }
  });
}

}  // namespace cpaway::fs
