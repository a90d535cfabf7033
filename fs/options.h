// What a mount can be told about the filesystem itself; logins are engine/transport's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cpaway::fs {

enum class IdMap { none, user };
// Where locks of programs are held: on the file on the remote host, or by the mounting kernel only.
enum class Locks { remote, local };

struct Options {
  std::string mountpoint;  // absolute
  std::string source;      // as shown in /proc/mounts: [user@]host:dir
  bool read_only = false;
  bool allow_other = false;
  bool default_permissions = false;
  bool dev = false;   // device files work (root only, and asked for)
  bool suid = false;  // set-user-id bits work (root only, and asked for)
  bool noexec = false;
  bool noatime = false;
  IdMap idmap = IdMap::user;    // user: the remote login user is shown as the mounting user
  std::optional<uint32_t> uid;  // every file is shown as owned by it
  std::optional<uint32_t> gid;
  std::optional<uint32_t> umask;        // bits taken from every mode shown
  uint64_t window_size = 64ULL << 20U;  // bytes between programs and the agent, per mount
  Locks locks = Locks::remote;
  bool compress = true;    // zstd where it pays
  int verify_retries = 3;  // how often a block with a wrong hash is sent again
  // Programs whose death by a signal does not commit (names as in /proc/PID/comm).
  std::vector<std::string> copying_programs = {"cp", "mv", "install", "rsync", "scp", "dd"};
  bool fuse_debug = false;
};

}  // namespace cpaway::fs
