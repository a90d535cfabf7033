#include "tools/mountpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "engine/base/fd.h"
#include "engine/base/strings.h"
#include "tools/child_process.h"
#include "tools/mount_table.h"
#include "tools/unmount.h"

namespace cpaway::tools {
namespace {

constexpr int kProbeTimeoutMs = 3000;
constexpr int kNotConnected = 1;

// `shown` is how the user named it.
Result<std::string> real_path(const std::string& path, const std::string& shown) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(path.c_str(), nullptr),
                                                             std::free);
  if (!resolved) {
    return fail_os(errno, concat("mountpoint ", shown));
  }
  return std::string(resolved.get());
}

Status check_empty(const std::string& directory) {
  std::error_code failed;
  const bool empty = std::filesystem::is_empty(directory, failed);
  if (failed) {
    return fail_os(failed.value(), concat("mountpoint ", directory));
  }
  if (!empty) {
    return fail(Errc::invalid, concat("mountpoint ", directory,
                                      ": not empty (-o nonempty mounts over what it holds)"));
  }
  return {};
}

// Nothing where no FUSE filesystem is mounted there (any more).
Status clear_fuse_mount(const std::string& mountpoint) {
  CPAWAY_ASSIGN(const auto table, read_mount_table());
  const auto entry = find_mount(table, mountpoint);
  if (!entry || !entry->type.starts_with("fuse")) {
    return {};
  }
  const bool ours = entry->type == kFuseType;
  if (!is_dead_mount(mountpoint, kProbeTimeoutMs)) {
    return fail(Errc::invalid,
                concat("mountpoint ", mountpoint, ": already mounted (", entry->source, ")"));
  }
  if (!ours) {
    return fail_os(ENOTCONN, concat("mountpoint ", mountpoint, ": dead ", entry->type, " mount"));
  }
  return unmount(mountpoint, UnmountHow::lazily);
}

}  // namespace

Result<std::string> resolve_mountpoint(const std::string& path) {
  std::error_code failed;
  auto absolute = std::filesystem::absolute(path, failed).lexically_normal();
  if (failed || path.empty()) {
    return fail_os(failed ? failed.value() : ENOENT, concat("mountpoint ", path));
  }
  if (!absolute.has_filename()) {
    absolute = absolute.parent_path();  // a slash at the end
  }
  CPAWAY_ASSIGN(const std::string parent, real_path(absolute.parent_path(), path));
  const std::string candidate = (std::filesystem::path(parent) / absolute.filename()).string();
  CPAWAY_ASSIGN(const auto table, read_mount_table());
  if (find_mount(table, candidate)) {
    return candidate;
  }
  return real_path(candidate, path);
}

Status prepare_mountpoint(const std::string& mountpoint, bool nonempty) {
  CPAWAY_TRY(clear_fuse_mount(mountpoint));
  struct stat info;
  if (stat(mountpoint.c_str(), &info) != 0) {
    return fail_os(errno, concat("mountpoint ", mountpoint));
  }
  if (!S_ISDIR(info.st_mode)) {
    return fail_os(ENOTDIR, concat("mountpoint ", mountpoint));
  }
  return nonempty ? Status() : check_empty(mountpoint);
}

bool is_dead_mount(const std::string& mountpoint, int timeout_ms) {
  // In a process of its own: a call that hangs can only be got rid of by killing who asked. Not
  // stat: the kernel may still know the attributes.
  auto probe = ChildProcess::start([&mountpoint] {
    struct statfs info;
    return statfs(mountpoint.c_str(), &info) != 0 && errno == ENOTCONN ? kNotConnected : 0;
  });
  if (!probe) {
    return false;
  }
  const auto status = probe->wait(timeout_ms);
  return status && *status == kNotConnected;
}

Status check_fuse_device() {
  const UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device) {
    return {};
  }
  const int why = errno;
  const bool missing = why == ENOENT || why == ENODEV || why == ENXIO;
  return fail_os(why, missing ? "cannot use /dev/fuse (is the kernel module loaded? modprobe fuse)"
                              : "cannot use /dev/fuse");
}

Status check_allow_other(bool allow_other) {
  if (!allow_other || geteuid() == 0) {
    return {};
  }
  std::ifstream file("/etc/fuse.conf");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("user_allow_other")) {
      return {};
    }
  }
  return fail(Errc::invalid,
              "option allow_other needs the line user_allow_other in /etc/fuse.conf");
}

}  // namespace cpaway::tools
