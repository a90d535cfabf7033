#include "engine/agent/placement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>
#include <vector>

#include "engine/agent/attr.h"
#include "engine/agent/join.h"
#include "engine/agent/xattr.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kModeBits = 07777;
// How often a name may be taken and be free again before the file in between is given up.
constexpr int kMaxTries = 8;

Status check_placement(const wire::Placement& placement) {
  const wire::SetAttr& attr = placement.attr;
  const bool is_join = placement.join != wire::kJoinNot;
  if (attr.size || attr.atime_now || attr.mtime_now || placement.join > wire::kJoinEmptied ||
      (is_join && (placement.exclusive || placement.fresh))) {
    return fail_os(EINVAL, "placement");
  }
  return {};
}

// The regular file that has the name now, if one has.
Result<std::optional<struct stat>> find_old(const Location& target) {
  struct stat st {};
  if (::fstatat(target.dir, target.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) {
      return std::optional<struct stat>{};
    }
    return fail_os(errno, target.name);
  }
  if (S_ISDIR(st.st_mode)) {
    return fail_os(EISDIR, target.name);
  }
  return S_ISREG(st.st_mode) ? std::optional(st) : std::nullopt;
}

// Writing to a set-user-id file clears these bits, unless root writes; replacing it does the same.
uint32_t inherited_mode(const struct stat& old) {
  uint32_t mode = old.st_mode & kModeBits;
  if (::geteuid() != 0) {
    mode &= ~static_cast<uint32_t>(S_ISUID);
    if ((mode & S_IXGRP) != 0) {
      mode &= ~static_cast<uint32_t>(S_ISGID);
    }
  }
  return mode;
}

Status inherit(const Location& old_name, const struct stat& old, const Location& file,
               const std::vector<std::string>& dropped) {
  // Giving a file away needs privilege; its group at least may be one of ours.
  if (::fchown(file.dir, old.st_uid, old.st_gid) != 0) {
    const int group_result = ::fchown(file.dir, static_cast<uid_t>(-1), old.st_gid);
    static_cast<void>(group_result);  // neither: the new version is ours, as rename would make it
  }
  return copy_xattrs(old_name, file, dropped);
}

wire::SetAttr times_of(const wire::Placement& placement) {
  wire::SetAttr times;
  times.atime = placement.attr.atime;
  times.mtime = placement.attr.mtime;
  return times;
}

// What was only tried, and an ACL that the directory has given it. Where that cannot be had away it
// does less harm than an upload that fails for it.
void remove_strays(const StagingFile& staging, const Location& file) {
  for (const std::string& name : staging.tried()) {
    ignore(remove_xattr(file, name), "not there, or it stays");
  }
  ignore(remove_xattr(file, "system.posix_acl_access"), "most have none");
}

// Where the filesystem knows no owners, it keeps those that it has: root is told so by EPERM.
Status give_to(const Location& file, const wire::Placement& placement) {
  if (placement.owner) {
    wire::SetAttr owner;
    owner.uid = placement.owner->uid;
    owner.gid = placement.owner->gid;
    ignore(change_owner(file, owner), "nobody has asked for it");
  }
  Status given = change_owner(file, placement.attr);
  const bool has_no_owners = !given && given.error().os_errno == EPERM && ::geteuid() == 0;
  return has_no_owners ? Status{} : given;
}

// The mode comes last: it may forbid its owner to set extended attributes, and until then nobody
// else may open the file.
Status apply_attributes(const Location& target, const std::optional<struct stat>& old,
                        const wire::Placement& placement, const StagingFile& staging,
                        const Location& file) {
  uint32_t mode = placement.create_mode;
  remove_strays(staging, file);
  if (old && !placement.fresh) {
    CPAWAY_TRY(inherit(target, *old, file, placement.dropped));
    mode = inherited_mode(*old);
  }
  CPAWAY_TRY(give_to(file, placement));
  for (const wire::Xattr& xattr : placement.xattrs) {
    CPAWAY_TRY(set_xattr(file, xattr, 0));
  }
  CPAWAY_TRY(change_mode(file, placement.attr.mode.value_or(mode)));
  return change_times(file, times_of(placement));
}

// Keeps the old version's inode beyond the rename, which would free its pages before it returns.
UniqueFd keep_large(const Location& target, const std::optional<struct stat>& old) {
  constexpr off_t kLarge = 8L << 20U;
  if (!old || old->st_size < kLarge) {
    return {};
  }
  return UniqueFd(::openat(target.dir, target.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

Status sync_fd(int fd) {
  return ::fsync(fd) == 0 ? Status{} : Status(fail_os(errno, "fsync"));
}

// A directory that may not be read cannot be synced alone, so its whole filesystem is.
Status sync_directory(const Location& target, int file) {
  const UniqueFd dir(::openat(target.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir) {
    return sync_fd(dir.get());
  }
  return ::syncfs(file) == 0 ? Status{} : Status(fail_os(errno, "syncfs"));
}

// The file behind `fd` for the placement's handle: before its mode may forbid its owner to open it.
// Null where no handle is asked for, or it cannot be had: then the client does without.
Result<std::shared_ptr<Handle>> open_for(Context& context, const wire::Placement& placement,
                                         int fd) {
  if (placement.handle == 0) {
    return nullptr;
  }
  if (const Status free = context.handles.check_free(placement.handle); !free) {
    if (free.error().code == Errc::limit) {
      return nullptr;
    }
    return fail(free.error());
  }
  UniqueFd opened;
  if (context.mode != Mode::write_only) {
    opened.reset(::open(concat("/proc/self/fd/", fd).c_str(), O_RDWR | O_CLOEXEC));
  }
  if (!opened) {
    return nullptr;
  }
  auto handle = std::make_shared<Handle>();
  handle->fd = std::move(opened);
  return handle;
}

wire::CommitAnswer answer_of(Context& context, const wire::Placement& placement,
                             const wire::Attr& attr, const hash::Sha256Value& sha256,
                             std::shared_ptr<Handle> handle) {
  const bool is_open = handle != nullptr;
  if (is_open) {
    context.handles.add(placement.handle, std::move(handle));
  }
  return {attr, sha256, time_now(), is_open, false};
}

// EEXIST where a file has the name. Where the filesystem cannot give a name only if it is free, by
// renameat2(2) or a hard link, it is looked for first.
Status take_free_name(StagingFile& file, const Location& target) {
  Status named = file.rename_to(target, true);
  if (named || named.error().os_errno == EEXIST || named.error().os_errno == ENOENT) {
    return named;
  }
  struct stat st {};
  if (::fstatat(target.dir, target.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    return fail_os(EEXIST, target.name);
  }
  return errno == ENOENT ? file.rename_to(target, false) : named;
}

// The file that has the name, with what is in `staged`.
Result<wire::CommitAnswer> place_in(Context& context, const Location& target, int staged,
                                    const wire::Placement& placement, bool durable) {
  CPAWAY_ASSIGN(const UniqueFd fd, join(target, staged, placement));
  const bool sync = durable || context.sync_commit;
  if (sync) {
    CPAWAY_TRY(sync_fd(fd.get()));
    CPAWAY_TRY(sync_directory(target, fd.get()));
  }
  CPAWAY_ASSIGN(auto handle, open_for(context, placement, fd.get()));
  CPAWAY_ASSIGN(const wire::Attr attr, read_attr(fd.get()));
  if (!sync) {
    context.background_sync.schedule(fd.get(), attr.dev, attr.size);
  }
  auto answer = answer_of(context, placement, attr, hash::Sha256Value{}, std::move(handle));
  answer.joined = true;
  return answer;
}

}  // namespace

Result<wire::CommitAnswer> place(Context& context, StagingFile& file,
                                 const wire::Placement& placement, bool durable,
                                 const hash::Sha256Value& sha256) {
  CPAWAY_TRY(check_placement(placement));
  CPAWAY_ASSIGN(const Location target, context.root.locate_name(placement.path, EISDIR));
  const bool is_join = placement.join != wire::kJoinNot;
  const bool needs_free_name = placement.exclusive || is_join;
  std::optional<struct stat> old;
  if (!needs_free_name) {
    CPAWAY_ASSIGN(old, find_old(target));
  }
  Location staged;
  staged.dir = file.fd();
  CPAWAY_ASSIGN(auto handle, open_for(context, placement, file.fd()));
  CPAWAY_TRY(apply_attributes(target, old, placement, file, staged));
  const bool sync = durable || context.sync_commit;
  if (sync) {
    CPAWAY_TRY(sync_fd(file.fd()));
  }
  UniqueFd replaced = keep_large(target, old);
  for (int tries = 0;; ++tries) {
    const Status named =
        is_join ? take_free_name(file, target) : file.rename_to(target, placement.exclusive);
    if (named) {
      break;
    }
    if (!is_join || named.error().os_errno != EEXIST || tries == kMaxTries) {
      return fail(named.error());
    }
    auto joined = place_in(context, target, file.fd(), placement, durable);
    if (joined || joined.error().os_errno != ENOENT) {
      return joined;
    }  // it has gone again
  }
  if (replaced) {
    context.background_sync.close_later(std::move(replaced));
  }
  if (sync) {
    CPAWAY_TRY(sync_directory(target, file.fd()));
  }
  CPAWAY_ASSIGN(const wire::Attr attr, read_attr(staged));
  if (!sync) {
    context.background_sync.schedule(file.fd(), attr.dev, attr.size);
  }
  return answer_of(context, placement, attr, sha256, std::move(handle));
}

bool can_pass_for_new(int old) {
  struct stat st {};
  Location file;
  file.dir = old;
  const auto xattrs = list_xattrs(file);
  return ::fstat(old, &st) == 0 && st.st_uid == ::geteuid() && st.st_gid == ::getegid() &&
         st.st_nlink == 1 && xattrs && xattrs->empty();
}

namespace {

// What the xattrs of a placement had been.
std::vector<std::optional<Bytes>> values_of(const Location& file,
                                            const std::vector<wire::Xattr>& xattrs) {
  std::vector<std::optional<Bytes>> values;
  for (const wire::Xattr& xattr : xattrs) {
    auto value = get_xattr(file, xattr.name);
    values.push_back(value ? std::optional(std::move(*value)) : std::nullopt);
  }
  return values;
}

Status change_in_place(const Location& file, const struct stat& old,
                       const wire::Placement& placement) {
  CPAWAY_TRY(give_to(file, placement));
  for (const wire::Xattr& xattr : placement.xattrs) {
    CPAWAY_TRY(set_xattr(file, xattr, 0));
  }
  const uint32_t default_mode = placement.fresh ? placement.create_mode : inherited_mode(old);
  const uint32_t mode = placement.attr.mode.value_or(default_mode);
  const bool cleared = placement.owner || placement.attr.uid ||
                       placement.attr.gid;  // chown(2) takes set-user-id away
  if (cleared || mode != (old.st_mode & kModeBits)) {
    CPAWAY_TRY(change_mode(file, mode));
  }
  wire::SetAttr times = times_of(placement);
  times.mtime_now = !times.mtime;  // it was written, if with the same bytes
  return change_times(file, times);
}

void change_back(const Location& file, const struct stat& old,
                 const std::vector<wire::Xattr>& xattrs,
                 const std::vector<std::optional<Bytes>>& values) {
  constexpr const char* kWhy = "the caller has an error already";
  for (size_t i = 0; i < xattrs.size(); ++i) {
    const std::string& name = xattrs[i].name;
    ignore(values[i] ? set_xattr(file, {name, *values[i]}, 0) : remove_xattr(file, name), kWhy);
  }
  wire::SetAttr owner;
  owner.uid = old.st_uid;
  owner.gid = old.st_gid;
  ignore(change_owner(file, owner), kWhy);
  ignore(change_mode(file, old.st_mode & kModeBits), kWhy);
}

}  // namespace

Result<wire::CommitAnswer> place_identical(Context& context, int old,
                                           const wire::Placement& placement, bool durable,
                                           const hash::Sha256Value& sha256) {
  CPAWAY_TRY(check_placement(placement));
  CPAWAY_ASSIGN(const Location target, context.root.locate_name(placement.path, EISDIR));
  CPAWAY_ASSIGN(const auto named, find_old(target));
  struct stat st {};
  if (::fstat(old, &st) != 0) {
    return fail_os(errno, target.name);
  }
  if (!named || named->st_ino != st.st_ino || named->st_dev != st.st_dev) {
    return fail_os(EBUSY, target.name);
  }
  Location file;
  file.dir = old;
  CPAWAY_ASSIGN(auto handle, open_for(context, placement, old));
  const auto values = values_of(file, placement.xattrs);
  if (Status changed = change_in_place(file, st, placement); !changed) {
    change_back(file, st, placement.xattrs, values);
    return fail(std::move(changed).error());
  }
  if (durable || context.sync_commit) {
    CPAWAY_TRY(sync_fd(old));
  }
  CPAWAY_ASSIGN(const wire::Attr attr, read_attr(old));
  return answer_of(context, placement, attr, sha256, std::move(handle));
}

}  // namespace cpaway::agent
