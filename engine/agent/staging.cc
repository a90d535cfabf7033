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

Status may_create_in(int dir) {
  if (::faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return fail_os(errno, "directory");
  }
  return {};
}

// Not another user's, not even for root: its owner may have it open, and write to it later.
bool is_ours(const struct stat& st) {
  return S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == ::geteuid();
}

}  // namespace

Result<StagingFile> StagingFile::with_name(const Root& root, const std::string& path,
                                           std::string name) {
  CPAWAY_ASSIGN(Location at, root.locate_name(path, EISDIR));
  StagingFile file;
  file.name_ = std::move(name);
  if (at.owned) {
    file.dir_ = std::move(at.owned);
  } else {
    CPAWAY_ASSIGN(file.dir_, duplicate_dir(at));
  }
  return file;
}

Result<StagingFile> StagingFile::create(const Root& root, const std::string& path) {
  CPAWAY_ASSIGN(StagingFile file, with_name(root, path, wire::new_staging_name()));
  CPAWAY_TRY(file.ensure());
  return file;
}

Result<StagingFile> StagingFile::plan(const Root& root, const std::string& path) {
  CPAWAY_ASSIGN(StagingFile file, with_name(root, path, wire::new_staging_name()));
  CPAWAY_TRY(may_create_in(file.dir_.get()));
  return file;
}

Result<StagingFile> StagingFile::find(const Root& root, const std::string& path,
                                      const std::string& name) {
  if (!name.empty() && !wire::is_staging_name(name)) {
    return fail_os(EINVAL, "staging name");
  }
  const std::string target = path.substr(path.rfind('/') + 1);
  CPAWAY_ASSIGN(StagingFile file,
                with_name(root, path, name.empty() ? wire::staging_name_of(target) : name));
  const Status taken = file.take_over(!name.empty());
  if (taken) {
    return file;
  }
  if (!name.empty()) {
    return fail(taken.error());
  }
  if (taken.error().os_errno != ENOENT) {
    file.name_ = wire::new_staging_name();  // in use, or not ours to use
  }
  CPAWAY_TRY(may_create_in(file.dir_.get()));
  file.is_answered_ = true;
  return file;
}

// What an upload has left behind: a regular file of ours that nobody works on. An agent that was
// killed in the middle of a commit may have left attributes on it.
Status StagingFile::take_over(bool whoever_has_it) {
  struct stat st {};
  if (::fstatat(dir_.get(), name_.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_os(errno, name_);
  }
  if (!is_ours(st)) {
    return fail_os(EPERM, name_);  // not even opened: a fifo or a device would notice
  }
  UniqueFd fd(::openat(dir_.get(), name_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) {
    return fail_os(errno, name_);
  }
  if (!lock(fd.get()) && !whoever_has_it) {
    return fail_os(EWOULDBLOCK, name_);
  }
  // Who had it before it was locked may have committed it: then it is somebody's file.
  if (!has_name(fd.get())) {
    return fail_os(ENOENT, name_);
  }
  if (::fstat(fd.get(), &st) != 0 || !is_ours(st)) {
    return fail_os(EPERM, name_);
  }
  Location self;
  self.dir = fd.get();
  CPAWAY_TRY(remove_xattrs(self));
  if (::fchmod(fd.get(), kMode) != 0) {
    return fail_os(errno, name_);
  }
  kept_size_ = static_cast<uint64_t>(st.st_size);
  fd_ = std::move(fd);
  return {};
}

// Not every filesystem can lock; then nobody else takes the file for abandoned before it is old.
bool StagingFile::lock(int fd) {
  locked_ = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  return locked_ || errno != EWOULDBLOCK;
}

bool StagingFile::has_name(int fd) const {
  struct stat st {};
  struct stat named {};
  return ::fstat(fd, &st) == 0 &&
         ::fstatat(dir_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         st.st_ino == named.st_ino && st.st_dev == named.st_dev;
}

Status StagingFile::ensure() {
  if (fd_) {
    if (!locked_) {
      static_cast<void>(lock(fd_.get()));  // who had it may have gone meanwhile
    }
    return {};
  }
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    UniqueFd fd(::openat(dir_.get(), name_.c_str(), kFlags, kMode));
    if (!fd && errno != EEXIST) {
      return fail_os(errno, name_);
    }
    if (fd && lock(fd.get()) && has_name(fd.get())) {
      fd_ = std::move(fd);
      return {};
    }
    // Another upload to the same target was faster.
    if (is_answered_) {
      return fail_os(EBADF, "staging file");  // the client knows the name: it begins anew
    }
    name_ = wire::new_staging_name();
  }
  return fail_os(EEXIST, name_);
}

StagingFile::StagingFile(StagingFile&& other) noexcept
    : dir_(std::move(other.dir_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)),
      locked_(other.locked_),
      is_answered_(other.is_answered_),
      kept_size_(other.kept_size_),
      tried_(std::move(other.tried_)) {}

StagingFile::~StagingFile() {
  if (!name_.empty() && fd_) {
    ::unlinkat(dir_.get(), name_.c_str(), 0);
  }
}

Status StagingFile::hide() {
  if (!name_.empty() && ::unlinkat(dir_.get(), name_.c_str(), 0) != 0 && errno != ENOENT) {
    return fail_os(errno, name_);
  }
  name_.clear();
  return {};
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
  become_file();
  return {};
}

// Programs may lock it now, also while the background sync has it open.
void StagingFile::become_file() {
  name_.clear();
  if (std::exchange(locked_, false)) {
    ::flock(fd_.get(), LOCK_UN);
  }
}

Status StagingFile::link_to(const Location& to) {
  if (::linkat(dir_.get(), name_.c_str(), to.dir, to.name.c_str(), 0) != 0) {
    return fail_os(errno, to.name);
  }
  ::unlinkat(dir_.get(), name_.c_str(), 0);
  become_file();
  return {};
}

}  // namespace cpaway::agent
