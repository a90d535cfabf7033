// Reading and writing /dev/fuse for libfuse, to pass on one flag that it forgets.
//
// libfuse before 3.17 never tells the kernel FUSE_PARALLEL_DIROPS, whatever the filesystem wants
// (libfuse pull request 861), and the kernel then sends one lookup a directory at a time: fifty
// programs that stat a hundred names over a link of 100 ms would take minutes. The flag is set in
// the answer to INIT, which is the first that a session writes (struct fuse_init_out,
// linux/fuse.h).
#pragma once

#include "engine/base/result.h"

struct fuse_session;

namespace cpaway::fs {

// After fuse_session_mount, before the first request is read. One session a process at a time.
[[nodiscard]] Status install_device_io(fuse_session* session);

}  // namespace cpaway::fs
