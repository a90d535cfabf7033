// A mounted filesystem: from the FUSE session's creation to its end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/client/requester.h"
#include "engine/upload/journal.h"
#include "engine/wire/message.h"
#include "fs/options.h"

namespace cpaway::fs {

// One running or finished upload, for `cpaway status`. Sizes in bytes.
struct TransferReport {
  std::string path;
  uint64_t size = 0;
  uint64_t bytes_written = 0;       // by the program
  uint64_t bytes_sent = 0;          // of content, coded, resent blocks included
  uint64_t bytes_acknowledged = 0;  // verified by the agent
  uint64_t bytes_matched = 0;       // of these, copied on the remote host
  uint64_t bytes_resumed = 0;       // of these, there from an interrupted upload
  uint64_t bytes_per_second = 0;    // written by the program, from the start to now or to the end
  std::string state;                // writing, committing, committed, failed, cancelled
  std::string sha256;               // hexadecimal, once committed
  std::string error;                // once failed
};

struct MountReport {
  std::vector<TransferReport> running;
  std::vector<TransferReport> recent;  // newest first, 32 at most
  uint64_t window_used = 0;
};

class Mount {
 public:
  // Mounts at options.mountpoint; programs can use it once run() is called. `agent` and `journal`
  // outlive the mount; `hello` is what the agent answered. Errors name the mountpoint or /dev/fuse.
  [[nodiscard]] static Result<std::unique_ptr<Mount>> create(const Options& options,
                                                             client::Requester& agent,
                                                             upload::Journal& journal,
                                                             const wire::Hello::Answer& hello);
  virtual ~Mount() = default;

  // Serves until the filesystem is unmounted or stop() is called; then unmounts where it still has
  // to, and waits for commits in progress.
  [[nodiscard]] virtual Status run() = 0;
  // Any thread; also safe in a signal handler.
  virtual void stop() = 0;
  [[nodiscard]] virtual MountReport report() = 0;
  // After a lost connection: opens at the new agent, by `agent`, what is open on the mount.
  virtual void reopen(client::Requester& agent) = 0;
};

}  // namespace cpaway::fs
