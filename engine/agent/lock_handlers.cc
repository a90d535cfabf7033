#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "engine/agent/handlers.h"
#include "engine/wire/lock_message.h"

namespace cpaway::agent {
namespace {

// A description of its own: another open of what the handle has open, or of what has the name.
Result<UniqueFd> open_again(Context& context, const wire::Target& target, int flags) {
  if (target.handle == 0) {
    return context.root.open_path(target.path, flags);
  }
  CPAWAY_ASSIGN(const auto handle, context.handles.find(target.handle));
  const std::string path = concat("/proc/self/fd/", handle->fd.get());
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    return fail_os(errno == ENOENT ? ENOLCK : errno, "open for locks");  // no /proc here
  }
  return fd;
}

bool may_open_otherwise(int error) {
  return error == EACCES || error == EPERM || error == EROFS || error == ETXTBSY;
}

// Who has a file open may lock it, though its mode may forbid to open it anew: by the description
// that is there, which is one owner's and so lent to one at a time. Null where that cannot be.
// `only_access`: O_RDWR, say; -1 for any.
UniqueFd borrow(Context& context, const wire::OpenLock& request,
                const std::shared_ptr<Handle>& handle, int only_access) {
  const auto source = context.handles.find(request.target.handle);
  if (!source) {
    return {};
  }
  const int access = ::fcntl((*source)->fd.get(), F_GETFL) & O_ACCMODE;
  std::weak_ptr<Handle>& borrower = (*source)->borrowers.at(request.family);
  if (!borrower.expired() || (only_access >= 0 && access != only_access)) {
    return {};
  }
  auto fd = (*source)->duplicate();
  if (!fd) {
    return {};
  }
  borrower = handle;
  return std::move(*fd);
}

// A write lock on a range needs a descriptor for writing, a read lock one for reading, and all of
// an owner's must be on one. An flock needs any.
Result<UniqueFd> open_for_locks(Context& context, const wire::OpenLock& request,
                                const std::shared_ptr<Handle>& handle) {
  Result<UniqueFd> fd = fail_os(EACCES, "open for locks");
  if (request.family == wire::kPosixLock && context.mode != Mode::read_only) {
    fd = open_again(context, request.target, O_RDWR);
    if (fd || !may_open_otherwise(fd.error().os_errno)) {
      return fd;
    }
    if (UniqueFd lent = borrow(context, request, handle, O_RDWR)) {
      return lent;
    }
  }
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    fd = open_again(context, request.target, flags);
    if (fd || !may_open_otherwise(fd.error().os_errno)) {
      return fd;
    }
  }
  if (UniqueFd lent = borrow(context, request, handle, -1)) {
    return lent;
  }
  return fd;
}

Result<std::shared_ptr<Handle>> make_lock_handle(Context& context, const wire::OpenLock& request) {
  if (request.family != wire::kPosixLock && request.family != wire::kFlock) {
    return fail_os(EINVAL, "family of locks");
  }
  auto handle = std::make_shared<Handle>();
  CPAWAY_ASSIGN(handle->fd, open_for_locks(context, request, handle));
  handle->lock_family = request.family;
  struct stat st {};
  if (::fstat(handle->fd.get(), &st) != 0) {
    return fail_os(errno, "stat");
  }
  if (!S_ISREG(st.st_mode)) {
    return fail_os(EINVAL, "locks are for regular files");
  }
  return handle;
}

Result<std::shared_ptr<Handle>> find_lock_handle(Context& context, uint32_t id) {
  CPAWAY_ASSIGN(auto handle, context.handles.find(id));
  if (!handle->lock_family) {
    return fail_os(EINVAL, "not opened for locks");
  }
  return handle;
}

bool valid_range(uint8_t type, uint64_t first, uint64_t last) {
  return type <= wire::kWriteLock && first <= last && last <= wire::kLockEnd;
}

}  // namespace

Result<wire::OpenLock::Answer> on_open_lock(Context& context, const wire::OpenLock& request) {
  CPAWAY_TRY(context.handles.check_free(request.handle));
  auto handle = make_lock_handle(context, request);
  if (!handle) {
    context.handles.add(request.handle, fail(handle.error()));
    return fail(handle.error());
  }
  wire::OpenLock::Answer answer{context.locks.add(*handle)};
  context.handles.add(request.handle, std::move(*handle));
  return answer;
}

Result<std::optional<wire::Lock::Answer>> on_lock(Context& context, const wire::Lock& request,
                                                  uint32_t id) {
  CPAWAY_ASSIGN(const auto handle, find_lock_handle(context, request.handle));
  if (!valid_range(request.type, request.first, request.last)) {
    return fail_os(EINVAL, "lock");
  }
  CPAWAY_ASSIGN(const bool done, context.locks.take(handle, request, id));
  return done ? std::optional(describe_lock(*handle)) : std::nullopt;
}

Result<wire::TestLock::Answer> on_test_lock(Context& context, const wire::TestLock& request) {
  CPAWAY_ASSIGN(const auto handle, find_lock_handle(context, request.handle));
  if (!valid_range(request.type, request.first, request.last) || request.type == wire::kUnlock ||
      handle->lock_family != wire::kPosixLock) {
    return fail_os(EINVAL, "test of a lock");
  }
  struct flock range {};
  range.l_type = request.type == wire::kWriteLock ? F_WRLCK : F_RDLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(request.first);
  range.l_len =
      request.last == wire::kLockEnd ? 0 : static_cast<off_t>(request.last - request.first + 1);
  if (::fcntl(handle->fd.get(), F_OFD_GETLK, &range) != 0) {
    return fail_os(errno, "test of a lock");
  }
  wire::TestLock::Answer answer;
  if (range.l_type != F_UNLCK) {
    answer.type = range.l_type == F_WRLCK ? wire::kWriteLock : wire::kReadLock;
    answer.first = static_cast<uint64_t>(range.l_start);
    answer.last =
        range.l_len == 0 ? wire::kLockEnd : answer.first + static_cast<uint64_t>(range.l_len) - 1;
  }
  return answer;
}

Status on_cancel_lock(Context& context, const wire::CancelLock& request) {
  CPAWAY_ASSIGN(const auto handle, find_lock_handle(context, request.handle));
  context.locks.cancel(handle, request.ticket);
  return {};
}

Status on_take_over(Context& /*context*/, const wire::TakeOver& request) {
  LockQueue::take_over(request.successor_name);
  return {};
}

}  // namespace cpaway::agent
