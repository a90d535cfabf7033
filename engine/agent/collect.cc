// Removing staging files that no upload will come back for.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include "engine/agent/handlers.h"
#include "engine/wire/names.h"

namespace cpaway::agent {
namespace {

// Deeper trees are left alone: each level holds a descriptor.
constexpr int kMaxDepth = 200;
constexpr int kDirFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

class Collector {
 public:
  Collector(const wire::Collect& request, dev_t device)
      : recursive_(request.recursive), device_(device) {
    // Not time(2), which is late by up to a tick: what was changed just now would be of the future.
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    const auto now = static_cast<uint64_t>(time.tv_sec);
    newest_ = static_cast<time_t>(now - std::min(now, request.older_than));
  }

  // A directory that cannot be read is passed over: others may be somebody else's.
  void walk(UniqueFd fd, int depth) {
    const Dir dir(::fdopendir(fd.get()));
    if (!dir) {
      return;
    }
    const int at = fd.release();  // the stream's now
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string name = entry->d_name;
      if (wire::is_staging_name(name)) {
        judge(at, name);
      } else if (recursive_ && depth < kMaxDepth && name != "." && name != ".." &&
                 (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)) {
        enter(at, name, depth);
      }
    }
  }
  [[nodiscard]] const wire::Collect::Answer& answer() const { return answer_; }

 private:
  void enter(int at, const std::string& name, int depth) {
    UniqueFd fd(::openat(at, name.c_str(), kDirFlags));
    struct stat st {};
    if (fd && ::fstat(fd.get(), &st) == 0 && st.st_dev == device_) {
      walk(std::move(fd), depth + 1);
    }
  }
  void judge(int at, const std::string& name) {
    struct stat st {};
    if (::fstatat(at, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return;  // gone
    }
    if (!is_abandoned(st) || !remove(at, name)) {
      ++answer_.kept;
      return;
    }
    ++answer_.removed;
    answer_.bytes += static_cast<uint64_t>(st.st_size);
  }
  [[nodiscard]] bool is_abandoned(const struct stat& st) const {
    return S_ISREG(st.st_mode) && (st.st_uid == ::geteuid() || ::geteuid() == 0) &&
           std::max(st.st_mtime, st.st_ctime) <= newest_;
  }
  // False where a transfer has it, or had it until it was locked here: then it may have another
  // name by now, and this name another file.
  [[nodiscard]] bool remove(int at, const std::string& name) const {
    const UniqueFd fd(::openat(at, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat st {};
    struct stat named {};
    return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && ::fstat(fd.get(), &st) == 0 &&
           is_abandoned(st) && ::fstatat(at, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == named.st_ino && st.st_dev == named.st_dev &&
           ::unlinkat(at, name.c_str(), 0) == 0;
  }

  const bool recursive_;
  const dev_t device_;
  time_t newest_ = 0;
  wire::Collect::Answer answer_;
};

bool holds_only_staging(const Location& directory) {
  UniqueFd fd(::openat(directory.dir, directory.name.c_str(), kDirFlags));
  const Dir dir(fd ? ::fdopendir(fd.get()) : nullptr);
  if (!dir) {
    return false;
  }
  static_cast<void>(fd.release());
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !wire::is_staging_name(name)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool clear_left(const Location& directory) {
  if (directory.is_descriptor() || !holds_only_staging(directory)) {
    return false;
  }
  UniqueFd fd(::openat(directory.dir, directory.name.c_str(), kDirFlags));
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) {
    return false;
  }
  Collector collector(wire::Collect{}, st.st_dev);
  collector.walk(std::move(fd), 0);
  return collector.answer().removed > 0 && collector.answer().kept == 0;
}

Result<wire::Collect::Answer> on_collect(Context& context, const wire::Collect& request) {
  CPAWAY_ASSIGN(UniqueFd fd, context.root.open_path(request.path, O_RDONLY | O_DIRECTORY));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) {
    return fail_os(errno, request.path);
  }
  Collector collector(request, st.st_dev);
  collector.walk(std::move(fd), 0);
  return collector.answer();
}

}  // namespace cpaway::agent
