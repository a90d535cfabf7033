#include "engine/agent/file_access.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "engine/base/strings.h"
#include "engine/wire/names.h"

namespace cpaway::agent {
namespace {

constexpr int kDirFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;

int try_openat2(int dir, const char* path, uint64_t resolve) {
  open_how how{};
  how.flags = kDirFlags;
  how.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how));
}

// An old kernel, or a seccomp filter that answers EPERM: opening an O_PATH directory has no other
// reason to.
bool is_missing(int error) {
  return error == ENOSYS || error == EPERM;
}

Result<std::string> absolute_path(int fd, const std::string& directory) {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink(concat("/proc/self/fd/", fd).c_str(), buffer, sizeof buffer);
  if (size > 0 && size < static_cast<ssize_t>(sizeof buffer)) {
    return std::string(buffer, static_cast<size_t>(size));
  }
  if (::realpath(directory.c_str(), buffer) == nullptr) {
    return fail_os(errno, directory);
  }
  return std::string(buffer);
}

// What is left of `directory` below `confine`, for an absolute one; both as the kernel names them.
Result<std::string> below(const std::string& confine, const std::string& directory) {
  char root[PATH_MAX];
  char wanted[PATH_MAX];
  if (::realpath(confine.c_str(), root) == nullptr) {
    return fail_os(errno, confine);
  }
  if (::realpath(directory.c_str(), wanted) == nullptr) {
    return fail_os(errno, directory);
  }
  const std::string_view prefix = root[1] == '\0' ? "" : root;
  const std::string_view path = wanted;
  if (path == root) {
    return std::string(".");
  }
  if (!path.starts_with(prefix) || path[prefix.size()] != '/') {
    return fail_os(EACCES, concat(directory, " is outside of ", confine));
  }
  return std::string(path.substr(prefix.size() + 1));
}

Result<UniqueFd> open_confined(const std::string& confine, const std::string& directory) {
  UniqueFd base(::open(confine.c_str(), kDirFlags));
  if (!base) {
    return fail_os(errno, confine);
  }
  std::string relative = directory.empty() ? "." : directory;
  if (relative.front() == '/') {
    CPAWAY_ASSIGN(relative, below(confine, directory));
  }
  UniqueFd fd(try_openat2(base.get(), relative.c_str(), 0));
  if (fd) {
    return fd;
  }
  if (errno == EXDEV) {
    return fail_os(EACCES, concat(directory, " is outside of ", confine));
  }
  if (!is_missing(errno)) {
    return fail_os(errno, directory);
  }
  return relative == "." ? Result<UniqueFd>(std::move(base)) : walk_beneath(base.get(), relative);
}

}  // namespace

int Location::at_flags() const {
  return is_descriptor() ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
}

std::string Location::proc_path() const {
  return is_descriptor() ? concat("/proc/self/fd/", dir) : concat("/proc/self/fd/", dir, "/", name);
}

Result<UniqueFd> walk_beneath(int dir, const std::string& path) {
  if (!wire::valid_path(path) || path.empty()) {
    return fail_os(EINVAL, "path");
  }
  UniqueFd fd;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, end - at);
    fd.reset(::openat(fd ? fd.get() : dir, name.c_str(), kDirFlags | O_NOFOLLOW));
    if (!fd) {
      return fail_os(errno, path);
    }
    at = end + 1;
  }
  return fd;
}

Result<UniqueFd> open_beneath(int dir, const std::string& path) {
  static std::atomic<bool> walks{false};
  if (walks.load(std::memory_order_relaxed)) {
    return walk_beneath(dir, path);
  }
  UniqueFd fd(try_openat2(dir, path.c_str(), RESOLVE_NO_SYMLINKS));
  if (fd) {
    return fd;
  }
  if (is_missing(errno)) {
    walks = true;
    return walk_beneath(dir, path);
  }
  return fail_os(errno, path);
}

Result<UniqueFd> Root::open_directory(const std::string& confine, const std::string& directory) {
  if (directory.find('\0') != std::string::npos) {
    return fail_os(EINVAL, "directory");
  }
  const std::string shown = directory.empty() ? "." : directory;
  UniqueFd fd;
  if (!confine.empty()) {
    CPAWAY_ASSIGN(fd, open_confined(confine, directory));
  } else {
    fd.reset(::open(shown.c_str(), kDirFlags));
    if (!fd) {
      return fail_os(errno, shown);
    }
  }
  // O_PATH asks for no permission; without this one nothing below could be reached.
  if (::faccessat(fd.get(), ".", X_OK, AT_EACCESS) != 0) {
    return fail_os(errno, shown);
  }
  return fd;
}

Result<Root> Root::open(const std::string& confine, const std::string& directory) {
  Root root;
  CPAWAY_ASSIGN(UniqueFd fd, open_directory(confine, directory));
  CPAWAY_ASSIGN(root.absolute_, absolute_path(fd.get(), directory.empty() ? "." : directory));
  root.confine_ = confine;
  const MutexLock lock(root.current_->mutex);
  root.current_->directory = std::make_shared<const UniqueFd>(std::move(fd));
  return root;
}

Result<Root::Directory> Root::directory() const {
  const MutexLock lock(current_->mutex);
  struct stat st {};
  if (::fstat(current_->directory->get(), &st) != 0) {
    return fail_os(errno, absolute_);
  }
  if (st.st_nlink == 0) {
    CPAWAY_ASSIGN(UniqueFd fd, open_directory(confine_, absolute_));
    current_->directory = std::make_shared<const UniqueFd>(std::move(fd));
  }
  return current_->directory;
}

Result<Location> Root::locate(const std::string& path) const {
  if (!wire::valid_path(path)) {
    return fail_os(EINVAL, "path");
  }
  Location location;
  CPAWAY_ASSIGN(const Directory root, directory());
  location.dir = root->get();
  location.keeps_open = root;
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    location.name = path;
    return location;
  }
  CPAWAY_ASSIGN(location.owned, open_beneath(root->get(), path.substr(0, slash)));
  location.dir = location.owned.get();
  location.name = path.substr(slash + 1);
  return location;
}

Result<Location> Root::locate_name(const std::string& path, int root_errno) const {
  if (path.empty()) {
    return fail_os(root_errno, "the mounted directory");
  }
  return locate(path);
}

Result<UniqueFd> Root::open_path(const std::string& path, int flags) const {
  CPAWAY_ASSIGN(const Location location, locate(path));
  return open_at(location, flags);
}

Result<UniqueFd> open_at(const Location& at, int flags, uint32_t mode) {
  const char* name = at.is_descriptor() ? "." : at.name.c_str();
  UniqueFd fd(::openat(at.dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode));
  if (!fd) {
    return fail_os(errno, at.name);
  }
  return fd;
}

Result<UniqueFd> duplicate_dir(const Location& at) {
  UniqueFd fd(::fcntl(at.dir, F_DUPFD_CLOEXEC, 0));
  if (!fd) {
    return fail_os(errno, "directory");
  }
  return fd;
}

}  // namespace cpaway::agent
