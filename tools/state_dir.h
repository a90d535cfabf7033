// Where mounts keep what must outlive them, and how other commands find the ones that run.
//
//   BASE/                              $XDG_STATE_HOME/cpaway, ~/.local/state/cpaway; root:
//                                      /var/lib/cpaway; or what state_dir names
//     user@host:port:dir-1a2b3c4d/     one remote directory; a second mount of it takes "....2"
//       lock                           locked while its daemon lives; holds a DaemonRecord
//       control.sock                   answers what is asked of the mount (tools/control_server.h)
//
// The lock is an open-file-description lock, not flock: others can see that it is held without
// taking it for a moment, which could turn a mount away that starts just then.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/fd.h"
#include "engine/base/result.h"
#include "tools/mount_options.h"

namespace cpaway::tools {

// The directory of all mounts of this user; `chosen` is the option state_dir. Not created.
[[nodiscard]] std::string state_base(std::string_view chosen);

// The name of a remote directory's own directory: readable, and unique by a hash.
[[nodiscard]] std::string state_name(const transport::LoginOptions& login,
                                     std::string_view directory);

struct DaemonRecord {
  std::string source;
  std::string mountpoint;
  pid_t pid = 0;
};

// The held state of one mount. Gone with the process; clean() tidies up what others would see.
class StateDir {
 public:
  // Makes the directories (mode 0700) and takes the first lock that is free; waits for a holder
  // that was unmounted and has not ended yet, ten seconds at most. Errors name the path.
  [[nodiscard]] static Result<StateDir> acquire(const std::string& base, const std::string& name,
                                                const DaemonRecord& record);

  [[nodiscard]] int fd() const { return directory_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  // Removes the socket, the lock, and the directory where nothing else is in it. The last call.
  void clean();

 private:
  StateDir() = default;
  // Nothing where another process holds the directory. Errc::cancelled where it was removed by the
  // one that held it just now.
  [[nodiscard]] static Result<std::optional<StateDir>> try_acquire(const std::string& path);
  // True where it is worth trying again: who holds the directory has nothing mounted, so it is
  // about to end (or to mount). It is waited for, a moment.
  [[nodiscard]] static bool wait_for_ending(const std::string& path, int64_t until_ms);

  std::string path_;
  UniqueFd directory_;
  UniqueFd lock_;
};

struct RunningDaemon {
  DaemonRecord record;
  UniqueFd directory;  // its state directory
};

// All whose lock is held. A base that is not there holds none.
[[nodiscard]] std::vector<RunningDaemon> running_daemons(const std::string& base);

}  // namespace cpaway::tools
