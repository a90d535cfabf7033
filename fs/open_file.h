// What stands behind a file descriptor of a program on the mount.
#pragma once

#include <fcntl.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "fs/inode.h"

namespace cpaway::fs {

// One open(2) of a regular file.
struct OpenFile {
  // The kernel's FMODE_EXEC (include/linux/fs.h) among the flags of an open: execve(2) opens it,
  // and it stays open while the program runs.
  static constexpr int kExecutes = 0x20;

  // `flags` as open(2) has them, and kExecutes.
  OpenFile(InodePtr i, bool w, int flags)
      : inode(std::move(i)),
        writes(w),
        executes((flags & kExecutes) != 0),
        keeps_atime((flags & O_NOATIME) != 0) {}

  const InodePtr inode;
  const bool writes;       // open for writing
  const bool executes;     // open for a program that runs
  const bool keeps_atime;  // O_NOATIME
  // Created, truncated or written through this handle since the last commit: its close is the next.
  std::atomic<bool> touched{false};
  // Opened by a copying program itself, not by the shell that started it.
  std::atomic<bool> is_copy{false};
  // Opened with O_RDONLY|O_TRUNC, and not closed yet: where the kernel refuses that after all
  // (ETXTBSY: a program that has just been started), there is no close.
  std::atomic<bool> may_be_refused{false};
  // A lock that its program believes to hold could not be taken again: nothing is read or written.
  std::atomic<bool> lock_lost{false};
  // When a descriptor of it was closed, monotonic ms; it may have been the last one.
  std::atomic<int64_t> flushed_ms{INT64_MIN};

  Mutex mutex;
  uint32_t remote_handle CPAWAY_GUARDED_BY(mutex) = 0;  // for reading; 0: not open at the agent
  uint64_t version CPAWAY_GUARDED_BY(mutex) = 0;        // Inode::version that it was opened at
  bool is_closed CPAWAY_GUARDED_BY(mutex) = false;      // nobody would close another handle
};

// One opendir(3). Entries are kept as the agent listed them, so that an offset means the same
// entry for the life of the stream, whatever happens to the directory meanwhile.
struct DirStream {
  explicit DirStream(InodePtr i, uint32_t handle) : inode(std::move(i)), remote_handle(handle) {}

  const InodePtr inode;
  const uint32_t remote_handle;

  Mutex mutex;
  std::vector<wire::DirEntry> entries CPAWAY_GUARDED_BY(mutex);  // "." and ".." are the first
  // When what begins at an index was asked for, monotonic ms.
  std::map<size_t, int64_t> asked_ms CPAWAY_GUARDED_BY(mutex);
  // Inode ids of files that were on the mount only when the listing began: one of them may be
  // committed behind what the agent lists, and before that is here.
  std::set<uint64_t> staged CPAWAY_GUARDED_BY(mutex);
  bool complete CPAWAY_GUARDED_BY(mutex) = false;
  bool restart CPAWAY_GUARDED_BY(mutex) = false;  // rewinddir: the next page is the first again
  // The agent lists from the start again, after a lost connection: entries that are here already
  // are passed over.
  bool is_reopened CPAWAY_GUARDED_BY(mutex) = false;
};

}  // namespace cpaway::fs
