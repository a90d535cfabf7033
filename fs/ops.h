// The FUSE callbacks: decode, call Vfs, which replies once.
#pragma once

#include <fuse_lowlevel.h>

#include "fs/interrupt_watch.h"
#include "fs/vfs.h"

namespace cpaway::fs {

// What the callbacks get as their user data.
struct OpsContext {
  Vfs& vfs;
  InterruptWatch& interrupts;
  bool remote_locks = true;
  bool judges_here = false;  // default_permissions
};

[[nodiscard]] const fuse_lowlevel_ops& fuse_ops();

}  // namespace cpaway::fs
