// What /proc says of the program behind a request. Everything answers "no" where it cannot be seen
// (another pid namespace, the thread already gone).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cpaway::fs {

enum class ProgramEnd {
  none,    // it is not exiting, is exiting with status 0, or cannot be seen
  failed,  // is exiting with another status
  killed,  // is exiting because a signal killed it
};

// Of a thread: the flags in /proc/PID/stat hold PF_EXITING (0x4), and PF_SIGNALED (0x400) or not,
// see include/linux/sched.h; and exit_code, which is shown to whoever may trace the thread.
[[nodiscard]] ProgramEnd how_it_ends(pid_t tid);
[[nodiscard]] inline bool killed_by_signal(pid_t tid) {
  return how_it_ends(tid) == ProgramEnd::killed;
}

// The program behind a pidfd has ended and was reaped: whether a signal had killed it. False, too,
// before Linux 6.15, which does not tell (PIDFD_GET_INFO, include/uapi/linux/pidfd.h).
[[nodiscard]] bool was_killed_by_signal(int pid_fd);

// As in /proc/PID/comm: 15 characters at most.
[[nodiscard]] std::string program_name(pid_t tid);

enum class PendingSignal {
  none,    // or one that nobody waits for an end by
  caught,  // SIGINT, SIGTERM, SIGHUP or SIGQUIT, which the program has a handler for
  fatal,   // one that ends it
};
// `fatal` where the thread cannot be seen, or is dying already.
[[nodiscard]] PendingSignal pending_signal(pid_t tid);

// True where the process, or one that it descends from, has a descriptor open on an inode `ino`, of
// this filesystem or, by chance, of another; and where the kernel does not tell, or they have so
// many (1000) that looking through them takes too long.
[[nodiscard]] bool has_open(pid_t tid, uint64_t ino);

}  // namespace cpaway::fs
