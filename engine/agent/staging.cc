#include "engine/agent/staging.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "engine/agent/xattr.h"
#include "engine/wire/names.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kStagingMode = 0600;

Status may_create_in(int dir) {
  if (::faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return fail_os(errno, "directory");
  }
  return {};
}

}  // namespace

Status StagingFile::hold_dir(Location& at) {
  if (at.owned) {
    dir_ = std::move(at.owned);
    return {};
  }
  CPAWAY_ASSIGN(dir_, duplicate_dir(at));
  return {};
}

Result<StagingFile> StagingFile::create(const Root& root, const std::string& path) {
  CPAWAY_ASSIGN(Location at, root.locate_name(path, EISDIR));
  StagingFile file;
  CPAWAY_TRY(file.hold_dir(at));
  file.name_ = wire::new_staging_name();
  CPAWAY_TRY(file.ensure());
  return file;
}

Result<StagingFile> StagingFile::find(const Root& root, const std::string& path,
                                      const std::string& name) {
  if (!name.empty() && !wire::is_staging_name(name)) {
    return fail_os(EINVAL, "staging name");
  }
  CPAWAY_ASSIGN(Location at, root.locate_name(path, EISDIR));
  StagingFile file;
  CPAWAY_TRY(file.hold_dir(at));
  file.name_ = name.empty() ? wire::staging_name_of(at.name) : name;
  const Status taken = file.take_over(!name.empty());
  if (taken) {
    return file;
  }
  if (!name.empty()) {
    file.name_.clear();
    return fail(taken.error());
  }
  if (taken.error().os_errno != ENOENT) {
    file.name_ = wire::new_staging_name();  // in use, or not ours to use
  }
  const Status allowed = may_create_in(file.dir_.get());
  if (!allowed) {
    file.name_.clear();
    return fail(allowed.error());
  }
  return file;
}

// What an upload has left behind: a regular file of ours that nobody works on. An agent that was
// killed in the middle of a commit may have left attributes on it.
Status StagingFile::take_over(bool whoever_has_it) {
  UniqueFd fd(::openat(dir_.get(), name_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    return fail_os(errno, name_);
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) {
    return fail_os(errno, name_);
  }
  const bool ours =
      S_ISREG(st.st_mode) && st.st_nlink == 1 && (st.st_uid == ::geteuid() || ::geteuid() == 0);
  if (!ours) {
    return fail_os(EPERM, name_);
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && !whoever_has_it) {
    return fail_os(errno, name_);
  }
  Location self;
  self.dir = fd.get();
  CPAWAY_TRY(remove_xattrs(self));
  if (::fchmod(fd.get(), kStagingMode) != 0) {
    return fail_os(errno, name_);
  }
  kept_size_ = static_cast<uint64_t>(st.st_size);
  fd_ = std::move(fd);
  return {};
}

Status StagingFile::ensure() {
  if (fd_) {
    return {};
  }
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(::openat(dir_.get(), name_.c_str(), kFlags, kStagingMode));
  if (!fd && errno == EEXIST) {  // another upload to the same target was faster
    name_ = wire::new_staging_name();
    fd.reset(::openat(dir_.get(), name_.c_str(), kFlags, kStagingMode));
  }
  if (!fd) {
    return fail_os(errno, name_);
  }
  fd_ = std::move(fd);
  // Not every filesystem can; then nobody else takes it for abandoned before it is old.
  static_cast<void>(::flock(fd_.get(), LOCK_EX | LOCK_NB));
  return {};
}

StagingFile::StagingFile(StagingFile&& other) noexcept
    : dir_(std::move(other.dir_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)),
      kept_size_(other.kept_size_) {}

StagingFile::~StagingFile() {
  if (!name_.empty() && fd_) {
    ::unlinkat(dir_.get(), name_.c_str(), 0);
  }
}

void StagingFile::keep() {
  name_.clear();
}

Status StagingFile::rename_to(const Location& to, bool exclusive) {
  const unsigned flags = exclusive ? RENAME_NOREPLACE : 0;
  const char* from = name_.c_str();
  const int result = exclusive ? ::renameat2(dir_.get(), from, to.dir, to.name.c_str(), flags)
                               : ::renameat(dir_.get(), from, to.dir, to.name.c_str());
  if (result != 0) {
    if (exclusive && (errno == EINVAL || errno == ENOSYS)) {
      return link_to(to);
    }
    return fail_os(errno, to.name);
  }
  name_.clear();
  return {};
}

Status StagingFile::link_to(const Location& to) {
  if (::linkat(dir_.get(), name_.c_str(), to.dir, to.name.c_str(), 0) != 0) {
    return fail_os(errno, to.name);
  }
  ::unlinkat(dir_.get(), name_.c_str(), 0);
  name_.clear();
  return {};
}

}  // namespace cpaway::agent
