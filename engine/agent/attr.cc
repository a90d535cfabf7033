#include "engine/agent/attr.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "engine/agent/xattr.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kModeBits = 07777;
constexpr uint32_t kNanosecondsPerSecond = 1'000'000'000;

wire::Time time_of(const statx_timestamp& time) {
  return {time.tv_sec, time.tv_nsec};
}

wire::Attr attr_of(const struct statx& st) {
  wire::Attr attr;
  attr.dev = makedev(st.stx_dev_major, st.stx_dev_minor);
  attr.ino = st.stx_ino;
  if ((st.stx_mask & STATX_BTIME) != 0) {
    attr.btime = time_of(st.stx_btime);
  }
  attr.mode = st.stx_mode;
  attr.nlink = st.stx_nlink;
  attr.uid = st.stx_uid;
  attr.gid = st.stx_gid;
  attr.rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
  attr.size = st.stx_size;
  attr.blocks = st.stx_blocks;
  attr.atime = time_of(st.stx_atime);
  attr.mtime = time_of(st.stx_mtime);
  attr.ctime = time_of(st.stx_ctime);
  attr.access |= (st.stx_attributes & STATX_ATTR_IMMUTABLE) != 0 ? wire::kImmutable : uint8_t{0};
  attr.access |= (st.stx_attributes & STATX_ATTR_APPEND) != 0 ? wire::kAppendOnly : uint8_t{0};
  return attr;
}

// 0, or the errno.
int check_access(const Location& at, int wanted) {
  const int flags = at.at_flags() | AT_EACCESS;
  if (::syscall(SYS_faccessat2, at.dir, at.name.c_str(), wanted, flags) == 0) {
    return 0;
  }
  if (errno != ENOSYS) {
    return errno;
  }
  // Before Linux 5.8 libc imitates AT_EACCESS, by name only.
  const std::string path = at.proc_path();
  return ::faccessat(AT_FDCWD, path.c_str(), wanted, AT_EACCESS) == 0 ? 0 : errno;
}

// Bit by bit only where asking for all fails.
uint8_t access_of(const Location& at, uint32_t mode) {
  constexpr uint8_t kAll = wire::kMayRead | wire::kMayWrite | wire::kMayExecute;
  if (S_ISLNK(mode)) {
    return kAll;
  }
  static_assert(wire::kMayRead == R_OK && wire::kMayWrite == W_OK && wire::kMayExecute == X_OK);
  uint8_t possible = kAll;
  if (!S_ISDIR(mode) && (mode & 0111U) == 0) {
    possible = wire::kMayRead | wire::kMayWrite;  // nobody may execute, not even root
  }
  if (check_access(at, possible) == 0) {
    return possible;
  }
  uint8_t access = 0;
  for (const uint8_t bit : {wire::kMayRead, wire::kMayWrite, wire::kMayExecute}) {
    const int error = (possible & bit) == 0 ? EACCES : check_access(at, bit);
    if (error == 0) {
      access |= bit;
    } else if (error == EROFS) {
      access |= wire::kReadOnlyFilesystem;
    }
  }
  return access;
}

Status result_of(int returned, const char* what) {
  if (returned != 0) {
    return fail_os(errno, what);
  }
  return {};
}

Status change_size(const Location& at, uint64_t size) {
  if (size > INT64_MAX) {
    return fail_os(EINVAL, "size");
  }
  // A handle open for writing needs no permission on the file any more.
  if (at.is_descriptor() && ::ftruncate(at.dir, static_cast<off_t>(size)) == 0) {
    return {};
  }
  if (at.is_descriptor()) {
    return fail_os(errno, "truncate");
  }
  CPAWAY_ASSIGN(const UniqueFd fd, open_at(at, O_WRONLY));
  return result_of(::ftruncate(fd.get(), static_cast<off_t>(size)), "truncate");
}

Result<timespec> timespec_of(const std::optional<wire::Time>& time, bool now) {
  if (now) {
    return timespec{0, UTIME_NOW};
  }
  if (!time) {
    return timespec{0, UTIME_OMIT};
  }
  if (time->nanoseconds >= kNanosecondsPerSecond) {
    return fail_os(EINVAL, "time");
  }
  return timespec{time->seconds, static_cast<long>(time->nanoseconds)};
}

}  // namespace

Result<wire::Attr> read_attr(const Location& at) {
  struct statx st {};
  const int flags = at.at_flags() | AT_NO_AUTOMOUNT;
  if (::statx(at.dir, at.name.c_str(), flags, STATX_BASIC_STATS | STATX_BTIME, &st) != 0) {
    return fail_os(errno, at.name);
  }
  wire::Attr attr = attr_of(st);
  attr.access |= access_of(at, attr.mode);
  attr.access |= has_no_xattrs(at) ? wire::kNoXattrs : uint8_t{0};
  return attr;
}

wire::Time time_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
}

Result<wire::Attr> read_attr(int fd) {
  Location at;
  at.dir = fd;
  return read_attr(at);
}

Status change_owner(const Location& at, const wire::SetAttr& attr) {
  if (!attr.uid && !attr.gid) {
    return {};
  }
  const uid_t uid = attr.uid.value_or(static_cast<uid_t>(-1));
  const gid_t gid = attr.gid.value_or(static_cast<gid_t>(-1));
  return result_of(::fchownat(at.dir, at.name.c_str(), uid, gid, at.at_flags()), "chown");
}

Status change_mode(const Location& at, uint32_t mode) {
  if ((mode & ~kModeBits) != 0) {
    return fail_os(EINVAL, "mode");
  }
  if (!at.is_descriptor()) {
    // Where the kernel has no fchmodat2, libc goes through /proc; a symbolic link is EOPNOTSUPP.
    return result_of(::fchmodat(at.dir, at.name.c_str(), mode, AT_SYMLINK_NOFOLLOW), "chmod");
  }
  if (::fchmod(at.dir, mode) == 0) {
    return {};
  }
  if (errno != EBADF) {
    return fail_os(errno, "chmod");
  }
  return result_of(::chmod(at.proc_path().c_str(), mode), "chmod");  // opened with O_PATH
}

Status change_times(const Location& at, const wire::SetAttr& attr) {
  CPAWAY_ASSIGN(const timespec atime, timespec_of(attr.atime, attr.atime_now));
  CPAWAY_ASSIGN(const timespec mtime, timespec_of(attr.mtime, attr.mtime_now));
  if (atime.tv_nsec == UTIME_OMIT && mtime.tv_nsec == UTIME_OMIT) {
    return {};
  }
  const timespec times[2] = {atime, mtime};
  if (!at.is_descriptor()) {
    return result_of(::utimensat(at.dir, at.name.c_str(), times, AT_SYMLINK_NOFOLLOW), "utimens");
  }
  if (::futimens(at.dir, times) == 0) {
    return {};
  }
  if (errno != EBADF) {
    return fail_os(errno, "utimens");
  }
  return result_of(::utimensat(AT_FDCWD, at.proc_path().c_str(), times, 0), "utimens");
}

Status change_attr(const Location& at, const wire::SetAttr& attr) {
  if (attr.size) {
    CPAWAY_TRY(change_size(at, *attr.size));
  }
  if (attr == wire::SetAttr{}) {  // chown(-1, -1), which sets ctime
    constexpr auto kSame = static_cast<uid_t>(-1);
    return result_of(::fchownat(at.dir, at.name.c_str(), kSame, kSame, at.at_flags()), "chown");
  }
  CPAWAY_TRY(change_owner(at, attr));
  if (attr.mode) {
    CPAWAY_TRY(change_mode(at, *attr.mode));
  }
  return change_times(at, attr);
}

}  // namespace cpaway::agent
