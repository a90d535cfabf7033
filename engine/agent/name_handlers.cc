#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>

#include "engine/agent/attr.h"
#include "engine/agent/handlers.h"
#include "engine/agent/xattr.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kModeBits = 07777;

Status result_of(int returned, const std::string& path) {
  return returned == 0 ? Status{} : Status(fail_os(errno, path));
}

Result<Location> locate_new(Context& context, const std::string& path) {
  return context.root.locate_name(path, EEXIST);
}

// The kernel does it by itself, but knows only one umask for all threads.
uint32_t masked(const Location& at, uint32_t mode, uint32_t umask) {
  Location directory;
  directory.dir = at.dir;
  const auto acl =
      umask != 0 ? get_xattr(directory, "system.posix_acl_default") : Result<Bytes>(Bytes{});
  return acl ? mode : mode & ~(umask & 0777U);
}

// What root has made for somebody else, as long as it is that: whoever may write in the directory
// may put another file of root's under its name. A filesystem that knows no owners leaves it as it
// is.
void give_away(const Location& at, const wire::Owner& owner, uint32_t mode) {
  const UniqueFd made(::openat(at.dir, at.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat st {};
  struct stat directory {};
  if (!made || ::fstat(made.get(), &st) != 0 || ::fstat(at.dir, &directory) != 0 ||
      st.st_uid != ::geteuid() || ((st.st_mode ^ mode) & S_IFMT) != 0 ||
      (S_ISREG(st.st_mode) && st.st_size != 0) || (!S_ISDIR(st.st_mode) && st.st_nlink != 1) ||
      (S_ISDIR(st.st_mode) && st.st_nlink > 2)) {
    return;
  }
  Location itself;
  itself.dir = made.get();
  wire::SetAttr change;
  change.uid = owner.uid;
  if ((directory.st_mode & S_ISGID) == 0) {
    change.gid = owner.gid;
  }
  const Status given = change_owner(itself, change);
  if (given && !S_ISLNK(mode) && (mode & (S_ISUID | S_ISGID)) != 0) {
    ignore(change_mode(itself, mode & kModeBits), "it lacks bits that it got for a moment only");
  }
}

// The answer of mknod, mkdir and symlink.
Result<wire::Attr> made(const Location& at, const std::optional<wire::Owner>& owner,
                        uint32_t mode) {
  if (owner) {
    give_away(at, *owner, mode);
  }
  return read_attr(at);
}

// A directory that holds nothing but what uploads have left is empty to who uses it.
template <class Call>
Status emptying(const Location& directory, Call call) {
  Status done = call();
  if (!done && (done.error().os_errno == ENOTEMPTY || done.error().os_errno == EEXIST) &&
      clear_left(directory)) {
    done = call();
  }
  return done;
}

}  // namespace

Result<Location> locate_target(Context& context, const wire::Target& target) {
  if (target.handle == 0) {
    return context.root.locate(target.path);
  }
  CPAWAY_ASSIGN(const auto handle, context.handles.find(target.handle));
  Location location;
  location.dir = handle->fd.get();
  location.keeps_open = handle;
  return location;
}

Result<wire::Ping::Answer> on_ping(Context& /*context*/, const wire::Ping& /*request*/) {
  return wire::Ping::Answer{time_now()};
}

Result<wire::Attr> on_getattr(Context& context, const wire::GetAttr& request) {
  CPAWAY_ASSIGN(const Location at, locate_target(context, request.target));
  return read_attr(at);
}

Result<wire::Attr> on_setattr(Context& context, const wire::SetAttrRequest& request) {
  CPAWAY_ASSIGN(const Location at, locate_target(context, request.target));
  CPAWAY_TRY(change_attr(at, request.attr));
  return read_attr(at);
}

Result<wire::ReadLink::Answer> on_readlink(Context& context, const wire::ReadLink& request) {
  CPAWAY_ASSIGN(const Location at, context.root.locate_name(request.path, EINVAL));
  char text[PATH_MAX];
  const ssize_t size = ::readlinkat(at.dir, at.name.c_str(), text, sizeof text);
  if (size < 0) {
    return fail_os(errno, request.path);
  }
  return wire::ReadLink::Answer{std::string(text, static_cast<size_t>(size))};
}

Result<wire::Attr> on_mknod(Context& context, const wire::MkNod& request) {
  CPAWAY_ASSIGN(const Location at, locate_new(context, request.path));
  const uint32_t mode = masked(at, request.mode, request.umask);
  CPAWAY_TRY(result_of(::mknodat(at.dir, at.name.c_str(), mode, request.rdev), request.path));
  return made(at, request.owner, (mode & S_IFMT) != 0 ? mode : mode | S_IFREG);
}

Result<wire::Attr> on_mkdir(Context& context, const wire::MkDir& request) {
  CPAWAY_ASSIGN(const Location at, locate_new(context, request.path));
  const uint32_t mode = masked(at, request.mode, request.umask);
  CPAWAY_TRY(result_of(::mkdirat(at.dir, at.name.c_str(), mode), request.path));
  return made(at, request.owner, S_IFDIR);  // chown(2) leaves a directory its bits
}

Status on_unlink(Context& context, const wire::Unlink& request) {
  CPAWAY_ASSIGN(const Location at, context.root.locate_name(request.path, EISDIR));
  return result_of(::unlinkat(at.dir, at.name.c_str(), 0), request.path);
}

Status on_rmdir(Context& context, const wire::RmDir& request) {
  CPAWAY_ASSIGN(const Location at, context.root.locate_name(request.path, EBUSY));
  return emptying(at, [&] {
    return result_of(::unlinkat(at.dir, at.name.c_str(), AT_REMOVEDIR), request.path);
  });
}

Result<wire::Attr> on_symlink(Context& context, const wire::SymLink& request) {
  if (request.text.find('\0') != std::string::npos) {
    return fail_os(EINVAL, "text");
  }
  CPAWAY_ASSIGN(const Location at, locate_new(context, request.path));
  CPAWAY_TRY(result_of(::symlinkat(request.text.c_str(), at.dir, at.name.c_str()), request.path));
  return made(at, request.owner, S_IFLNK);
}

Status on_rename(Context& context, const wire::Rename& request) {
  static_assert(RENAME_NOREPLACE == 1 && RENAME_EXCHANGE == 2 && RENAME_WHITEOUT == 4);
  if ((request.flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0) {
    return fail_os(EINVAL, "flags");
  }
  CPAWAY_ASSIGN(const Location from, context.root.locate_name(request.from, EBUSY));
  CPAWAY_ASSIGN(const Location to, context.root.locate_name(request.to, EBUSY));
  uint32_t flags = request.flags;
  if ((flags & RENAME_EXCHANGE) == 0 && context.mode == Mode::no_delete) {
    flags |= RENAME_NOREPLACE;  // taking a name away from a file removes it
  }
  if (flags == 0) {  // known to every kernel and filesystem
    return emptying(to, [&] {
      return result_of(::renameat(from.dir, from.name.c_str(), to.dir, to.name.c_str()),
                       request.from);
    });
  }
  return result_of(::renameat2(from.dir, from.name.c_str(), to.dir, to.name.c_str(), flags),
                   request.from);
}

Result<wire::Attr> on_link(Context& context, const wire::Link& request) {
  CPAWAY_ASSIGN(const Location from, locate_target(context, request.from));
  CPAWAY_ASSIGN(const Location to, locate_new(context, request.to));
  if (from.is_descriptor() && request.from.handle == 0) {
    return fail_os(EPERM, "the mounted directory");
  }
  const int result =
      from.is_descriptor()
          ? ::linkat(AT_FDCWD, from.proc_path().c_str(), to.dir, to.name.c_str(), AT_SYMLINK_FOLLOW)
          : ::linkat(from.dir, from.name.c_str(), to.dir, to.name.c_str(), 0);
  CPAWAY_TRY(result_of(result, request.to));
  return read_attr(to);
}

Result<wire::StatFs::Answer> on_statfs(Context& context, const wire::StatFs& request) {
  CPAWAY_ASSIGN(const UniqueFd fd, context.root.open_path(request.path, O_PATH));
  struct statvfs st {};
  CPAWAY_TRY(result_of(::fstatvfs(fd.get(), &st), request.path));
  wire::StatFs::Answer answer;
  answer.block_size = st.f_bsize;
  answer.fragment_size = st.f_frsize;
  answer.blocks = st.f_blocks;
  answer.blocks_free = st.f_bfree;
  answer.blocks_available = st.f_bavail;
  answer.files = st.f_files;
  answer.files_free = st.f_ffree;
  answer.name_max = st.f_namemax;
  return answer;
}

}  // namespace cpaway::agent
