// The one answer to one kernel request, given by whoever finishes it, on any thread.
//
// A Reply is a handle that may be copied into completions; the first answer counts, later ones do
// nothing. If every copy goes without an answer, the program gets EIO. While a request waits, a
// signal that ends the program (or that it asked for with Ctrl-C) answers it with EINTR at once:
// the request itself may still be carried out, as over NFS with soft interrupts.
//
// Interrupts by other signals (a progress timer, SIGCHLD) do not: programs do not expect EINTR from
// open or stat. The kernel tells of an interrupt once only, so such a request is looked at again
// by InterruptWatch until it is answered.
#pragma once

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>

#include "engine/base/bytes.h"
#include "engine/base/error.h"

namespace cpaway::fs {

class InterruptWatch;

class Reply {
 public:
  // For a request that may wait. `watch` outlives it.
  Reply(fuse_req_t req, InterruptWatch& watch);

  void error(int os_errno) const;
  void error(const Error& error) const;
  void ok() const { error(0); }
  // False where the kernel did not take it (the program was interrupted): then no lookup counts.
  [[nodiscard]] bool entry(const fuse_entry_param& entry) const;
  [[nodiscard]] bool create(const fuse_entry_param& entry, const fuse_file_info& file) const;
  [[nodiscard]] bool open(const fuse_file_info& file) const;
  void attr(const struct stat& attr, double timeout_s) const;
  void readlink(const std::string& text) const;
  void written(size_t size) const;
  void lseek(uint64_t offset) const;
  void ioctl(ByteSpan out) const;
  // False where the kernel did not take them.
  bool data(ByteSpan bytes) const;
  void statfs(const struct statvfs& stat) const;
  void xattr_size(size_t size) const;
  void lock(const struct flock& lock) const;
  // ok(), and whether it was the answer.
  [[nodiscard]] bool done() const;

  // For a wait that any signal may end, as it ends fcntl(F_SETLKW): `hook` is called once, on
  // another thread, and must bring the answer about (and hold
  // no Reply, which would then hold itself). After kHookMs without one it is EINTR.
  static constexpr int64_t kHookMs = 1000;
  void on_signal(std::function<void()> hook) const;

  // The calling thread's id, in the mount's own pid namespace; 0 where it cannot be seen.
  [[nodiscard]] pid_t caller() const;
  // Caller's uid, gid, umask. Only before the answer.
  [[nodiscard]] const fuse_ctx& context() const;
  [[nodiscard]] bool answered() const;

 private:
  struct State;
  static void on_interrupt(fuse_req_t req, void* state);

  std::shared_ptr<State> state_;
};

}  // namespace cpaway::fs
