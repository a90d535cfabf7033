#include "cache/store_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "engine/base/strings.h"

namespace cpaway::cache {
namespace {

// More than LMDB needs for the readers that Env allows.
constexpr off_t kLockFileSize = 65536;

}  // namespace

Result<StoreDirectory> StoreDirectory::open(const std::string& state) {
  StoreDirectory directory;
  directory.state_ = state;
  directory.path_ = concat(state, "/store");
  CPAWAY_TRY(directory.make_and_lock());
  return directory;
}

std::string StoreDirectory::data_file() const {
  return concat(path_, "/data.mdb");
}

Status StoreDirectory::make_and_lock() {
  if (mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_os(errno, concat("make the store ", path_));
  }
  const std::string lock = concat(path_, "/owner.lock");
  lock_.reset(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) {
    return fail_os(errno, concat("open ", lock));
  }
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    const bool held = errno == EWOULDBLOCK;
    return fail_os(held ? EBUSY : errno,
                   concat("lock ", lock, held ? ": another process uses this store" : ""));
  }
  return {};
}

Status StoreDirectory::make_lock_file() const {
  const std::string path = concat(path_, "/lock.mdb");
  const UniqueFd fd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) {
    return fail_os(errno, concat("make ", path));
  }
  if (const int failed = posix_fallocate(fd.get(), 0, kLockFileSize); failed != 0) {
    return fail_os(failed, concat("make ", path));
  }
  return {};
}

Status StoreDirectory::set_aside() {
  const std::string aside = concat(state_, "/store.damaged");
  std::error_code failed;
  std::filesystem::remove_all(aside, failed);
  if (rename(path_.c_str(), aside.c_str()) != 0) {
    return fail_os(errno, concat("rename ", path_, " to ", aside));
  }
  return make_and_lock();
}

}  // namespace cpaway::cache
