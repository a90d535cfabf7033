#include "engine/agent/join.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "engine/agent/attr.h"
#include "engine/agent/ranges.h"
#include "engine/agent/verified_io.h"
#include "engine/agent/xattr.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {
namespace {

struct Joined {
  UniqueFd fd;
  bool reads_back = true;
};

// Root may open everything, and its client's kernel has not judged this file.
bool may_open(const struct stat& st, const wire::Placement& placement) {
  const uint32_t maker = placement.owner ? placement.owner->uid : 0;
  return maker == 0 || st.st_uid == maker || (st.st_mode & S_IWOTH) != 0;
}

Result<Joined> open_there(const Location& target, const wire::Placement& placement) {
  struct stat st {};
  if (::fstatat(target.dir, target.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_os(errno, target.name);
  }
  if (!S_ISREG(st.st_mode)) {
    return fail_os(S_ISDIR(st.st_mode) ? EISDIR : EEXIST, target.name);
  }
  if (!may_open(st, placement)) {
    return fail_os(EACCES, target.name);
  }
  for (const int access : {O_RDWR, O_WRONLY}) {
    UniqueFd fd(::openat(target.dir, target.name.c_str(),
                         access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (fd) {
      return Joined{std::move(fd), access == O_RDWR};
    }
    if (errno != EACCES) {
      break;
    }
  }
  return fail_os(errno, target.name);
}

// What programs have asked for. What a new file would have got otherwise is not the other's.
Status give_attributes(const Location& file, const wire::Placement& placement) {
  CPAWAY_TRY(change_owner(file, placement.attr));
  for (const wire::Xattr& xattr : placement.xattrs) {
    if (!xattr.name.starts_with("system.posix_acl_")) {
      CPAWAY_TRY(set_xattr(file, xattr, 0));
    }
  }
  return placement.attr.mode ? change_mode(file, *placement.attr.mode) : Status{};
}

Status append_all(int staged, uint64_t size, const Joined& there) {
  for (uint64_t from = 0; from < size;) {
    const auto part = static_cast<uint32_t>(std::min<uint64_t>(wire::kBlockSize, size - from));
    CPAWAY_ASSIGN(const Bytes bytes, read_at(staged, from, part));
    if (bytes.empty()) {
      return fail_os(EIO, "staging file");
    }
    CPAWAY_ASSIGN(const uint64_t offset, append(there.fd.get(), bytes));
    if (there.reads_back && !mend_appended(there.fd.get(), bytes, offset)) {
      return fail_os(EIO, "append");  // and not Errc::verify: it must not be sent again
    }
    from += bytes.size();
  }
  return {};
}

// Holes are what was not written.
Status write_over(int staged, uint64_t size, const Joined& there) {
  for (uint64_t from = 0; from < size;) {
    const auto data = seek_in(staged, from, false);
    if (!data && data.error().os_errno == ENXIO) {
      break;
    }
    CPAWAY_TRY(data ? Status{} : Status(fail(data.error())));
    const auto end = seek_in(staged, *data, true);
    const uint64_t part = std::min(size, end ? *end : size) - *data;
    CopyJob job{staged, *data, there.fd.get(), *data, part};
    job.reads_back = there.reads_back;
    CPAWAY_ASSIGN(const uint64_t copied,
                  copy_in(job, [](uint64_t /*offset*/, ByteSpan /*piece*/) {}));
    if (copied == 0) {
      return fail_os(EIO, "staging file");
    }
    from = *data + copied;
  }
  struct stat st {};
  if (::fstat(there.fd.get(), &st) != 0 ||
      (static_cast<uint64_t>(st.st_size) < size &&
       ::ftruncate(there.fd.get(), static_cast<off_t>(size)) != 0)) {
    return fail_os(errno, "truncate");
  }
  return {};
}

// Where the owner is another, who may write it may still say that it was written now.
void give_times(const Location& file, const wire::Placement& placement) {
  wire::SetAttr times;
  times.atime = placement.attr.atime;
  times.mtime = placement.attr.mtime;
  if (!change_times(file, times)) {
    times = {};
    times.atime_now = times.mtime_now = true;
    ignore(change_times(file, times), "the content is there");
  }
}

}  // namespace

Result<UniqueFd> join(const Location& target, int staged, const wire::Placement& placement) {
  CPAWAY_ASSIGN(Joined there, open_there(target, placement));
  struct stat st {};
  struct stat there_st {};
  if (::fstat(staged, &st) != 0 || ::fstat(there.fd.get(), &there_st) != 0) {
    return fail_os(errno, "staging file");
  }
  if (st.st_dev == there_st.st_dev && st.st_ino == there_st.st_ino) {
    return std::move(there.fd);  // its own name, by a link whose answer was lost (NFS)
  }
  const auto size = static_cast<uint64_t>(st.st_size);
  Location file;
  file.dir = there.fd.get();
  CPAWAY_TRY(give_attributes(file, placement));
  if (placement.join == wire::kJoinEmptied && ::ftruncate(there.fd.get(), 0) != 0) {
    return fail_os(errno, target.name);
  }
  if (placement.join == wire::kJoinAppend) {
    CPAWAY_TRY(append_all(staged, size, there));
  } else {
    CPAWAY_TRY(write_over(staged, size, there));
  }
  if (placement.join != wire::kJoinAppend || size == 0) {
    give_times(file, placement);
  }
  return std::move(there.fd);
}

}  // namespace cpaway::agent
