#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "engine/agent/attr.h"
#include "engine/agent/handlers.h"
#include "engine/agent/verified_io.h"
#include "engine/base/strings.h"
#include "engine/hash/block_hash.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kWritingFlags = wire::kOpenWrite | wire::kOpenTruncate | wire::kOpenCreate;
constexpr uint32_t kAllFlags =
    kWritingFlags | wire::kOpenRead | wire::kOpenDirectory | wire::kOpenSync | wire::kOpenNoAtime;
constexpr uint32_t kModeBits = 07777;

Status judge_open(const Context& context, const wire::Open& request) {
  const uint32_t flags = request.flags;
  const bool reads = (flags & (wire::kOpenRead | wire::kOpenDirectory)) != 0;
  const bool writes = (flags & wire::kOpenWrite) != 0;
  const bool directory = (flags & wire::kOpenDirectory) != 0;
  const bool creates_or_cuts = (flags & (wire::kOpenTruncate | wire::kOpenCreate)) != 0;
  if ((flags & ~kAllFlags) != 0 || (!reads && !writes) || (creates_or_cuts && !writes) ||
      (directory && (flags & kWritingFlags) != 0) || (request.mode & ~kModeBits) != 0) {
    return fail_os(EINVAL, "open flags");
  }
  uint8_t effects = kLooks;
  if ((flags & wire::kOpenRead) != 0 && !directory) {
    effects |= kReadsContent;
  }
  if (writes) {
    effects |= kWrites;
  }
  return check_allowed(context.mode, effects);
}

int system_flags(uint32_t flags) {
  int out = 0;
  if ((flags & wire::kOpenDirectory) != 0) {
    return O_RDONLY | O_DIRECTORY;
  }
  // Writing needs reading, to look at what arrived.
  out |= (flags & wire::kOpenWrite) != 0 ? O_RDWR : O_RDONLY;
  out |= (flags & wire::kOpenTruncate) != 0 ? O_TRUNC : 0;
  out |= (flags & wire::kOpenCreate) != 0 ? O_CREAT | O_EXCL : 0;
  out |= (flags & wire::kOpenSync) != 0 ? O_SYNC : 0;
  return out;
}

struct Attempt {
  int flags = 0;
  bool reads_back = true;
  bool appends_only = false;
};

// Ways to open what the request asks for, the best first. What is read back is no access to the
// file, but who does not own it may not ask for that; a file may be written but not read; and one
// that is append-only lets itself be written in no other way.
std::vector<Attempt> attempts_of(const wire::Open& request, int flags) {
  const bool writes = (request.flags & wire::kOpenWrite) != 0;
  std::vector<Attempt> attempts;
  if (writes || (request.flags & wire::kOpenNoAtime) != 0) {
    attempts.push_back({flags | O_NOATIME});
  }
  attempts.push_back({flags});
  if (!writes || (request.flags & wire::kOpenTruncate) != 0) {
    return attempts;
  }
  attempts.push_back({flags | O_APPEND, true, true});
  if ((request.flags & wire::kOpenRead) == 0) {
    const int blind = (flags & ~O_ACCMODE) | O_WRONLY;
    attempts.push_back({blind, false});
    attempts.push_back({blind | O_APPEND, false, true});
  }
  return attempts;
}

// By open_with(flags). The error is that of the plain way.
template <class OpenWith>
Status open_by(Handle& handle, const wire::Open& request, int flags, OpenWith open_with) {
  Status failed;
  for (const Attempt& attempt : attempts_of(request, flags)) {
    auto fd = open_with(attempt.flags);
    if (fd) {
      handle.fd = std::move(*fd);
      handle.reads_back = attempt.reads_back;
      handle.appends_only = attempt.appends_only;
      return {};
    }
    if (failed || attempt.flags == flags) {
      failed = fail(fd.error());
    }
    if (fd.error().os_errno != EPERM && fd.error().os_errno != EACCES) {
      break;
    }
  }
  return failed;
}

// Through /proc, so that permission is asked for as it is for a name.
Status reopen_into(Context& context, Handle& handle, const wire::Open& request) {
  CPAWAY_ASSIGN(const auto source, context.handles.find(request.source));
  CPAWAY_ASSIGN(const UniqueFd copy, source->duplicate());
  const int flags = system_flags(request.flags) & ~(O_CREAT | O_EXCL);
  const std::string path = concat("/proc/self/fd/", copy.get());
  return open_by(handle, request, flags, [&path](int with) -> Result<UniqueFd> {
    UniqueFd fd(::open(path.c_str(), with | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    return fd ? Result<UniqueFd>(std::move(fd)) : fail_os(errno, "open anew");
  });
}

Result<wire::Attr> open_handle(Context& context, const wire::Open& request, Handle& handle) {
  CPAWAY_TRY(judge_open(context, request));
  if (request.source != 0) {
    CPAWAY_TRY(reopen_into(context, handle, request));
  } else {
    CPAWAY_ASSIGN(const Location at, context.root.locate(request.path));
    CPAWAY_TRY(open_by(handle, request, system_flags(request.flags),
                       [&](int with) { return open_at(at, with, request.mode); }));
  }
  CPAWAY_ASSIGN(const wire::Attr attr, read_attr(handle.fd.get()));
  if (!S_ISREG(attr.mode) && !S_ISDIR(attr.mode)) {
    return fail_os(EOPNOTSUPP, request.path);  // the mounting kernel serves the others itself
  }
  return attr;
}

// The open file of a target, or one opened for this request alone.
struct OpenFile {
  UniqueFd owned;
  std::shared_ptr<Handle> handle;
  int fd = -1;
};

Result<OpenFile> open_target(Context& context, const wire::Target& target, bool or_write_only) {
  OpenFile file;
  if (target.handle != 0) {
    CPAWAY_ASSIGN(file.handle, context.handles.find(target.handle));
    file.fd = file.handle->fd.get();
    return file;
  }
  auto fd = context.root.open_path(target.path, O_RDONLY);
  if (!fd && fd.error().os_errno == EACCES && or_write_only) {
    fd = context.root.open_path(target.path, O_WRONLY);
    if (!fd && fd.error().os_errno == EPERM) {  // append-only
      fd = context.root.open_path(target.path, O_WRONLY | O_APPEND);
    }
  }
  if (!fd) {
    return fail(fd.error());
  }
  file.owned = std::move(*fd);
  file.fd = file.owned.get();
  return file;
}

}  // namespace

Result<UniqueFd> Handle::duplicate() {
  const MutexLock lock(mutex);
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) {
    return fail_os(errno, "handle");
  }
  return copy;
}

// Some filesystems report a failed write only here. EINTR has closed all the same.
int Handle::close() {
  const MutexLock lock(mutex);
  return ::close(fd.release()) != 0 && errno != EINTR ? errno : 0;
}

Result<wire::Attr> on_open(Context& context, const wire::Open& request) {
  CPAWAY_TRY(context.handles.check_free(request.handle));
  auto handle = std::make_shared<Handle>();
  auto attr = open_handle(context, request, *handle);
  if (attr) {
    context.handles.add(request.handle, std::move(handle));
  } else {
    context.handles.add(request.handle, fail(attr.error()));
  }
  return attr;
}

Status on_close(Context& context, const wire::Close& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.remove(request.handle));
  if (handle != nullptr && handle->lock_family) {
    context.locks.remove(handle);
  }
  const int error = handle != nullptr ? handle->close() : 0;
  return error == 0 ? Status{} : Status(fail_os(error, "close"));
}

Result<Bytes> on_read(Context& context, const wire::Read& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  return read_at(handle->fd.get(), request.offset, request.size);
}

// Once it is in the file it must not be sent again: what was damaged is mended here.
Result<wire::Append::Answer> on_append(Context& context, const wire::Append& request,
                                       ByteSpan bulk) {
  if (bulk.empty() || bulk.size() > wire::kBlockSize) {
    return fail_os(EINVAL, "size");
  }
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  const int fd = handle->fd.get();
  if (const hash::BlockHash arrived = hash::block_hash(bulk); arrived != request.hash) {
    return wire::Append::Answer{arrived, 0};
  }
  std::optional<uint64_t> offset;
  if (request.again && handle->reads_back && request.offset <= INT64_MAX - bulk.size()) {
    CPAWAY_ASSIGN(const Bytes there,
                  read_at(fd, request.offset, static_cast<uint32_t>(bulk.size())));
    offset = hash::block_hash(there) == request.hash ? std::optional(request.offset) : std::nullopt;
  }
  if (!offset) {
    CPAWAY_ASSIGN(offset, append(fd, bulk));
  }
  if (handle->reads_back) {
    CPAWAY_TRY(mend_appended(fd, bulk, *offset));
  }
  return wire::Append::Answer{request.hash, *offset};
}

Result<wire::Write::Answer> on_write(Context& context, const wire::Write& request, ByteSpan bulk) {
  if (bulk.empty() || bulk.size() > wire::kBlockSize) {
    return fail_os(EINVAL, "size");
  }
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  if (handle->appends_only) {
    return fail_os(EPERM, "an append-only file");  // it would land elsewhere
  }
  if (!handle->reads_back) {
    CPAWAY_TRY(write_at(handle->fd.get(), bulk, request.offset));
    return wire::Write::Answer{hash::block_hash(bulk)};
  }
  CPAWAY_ASSIGN(const ByteSpan read, write_and_read_back(handle->fd.get(), bulk, request.offset));
  return wire::Write::Answer{hash::block_hash(read)};
}

Status on_fsync(Context& context, const wire::FSync& request) {
  CPAWAY_ASSIGN(const OpenFile file, open_target(context, request.target, true));
  const int result = request.data_only ? ::fdatasync(file.fd) : ::fsync(file.fd);
  return result == 0 ? Status{} : Status(fail_os(errno, "fsync"));
}

Result<wire::ReadDir::Answer> on_readdir(Context& context, const wire::ReadDir& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  if (request.restart) {
    CPAWAY_TRY(handle->entries.rewind(handle->fd.get()));
  }
  return handle->entries.next_page(handle->fd.get());
}

Result<wire::Digest::Answer> on_digest(Context& context, const wire::Digest& request) {
  CPAWAY_ASSIGN(const OpenFile file, open_target(context, request.target, false));
  struct stat st {};
  if (::fstat(file.fd, &st) != 0) {
    return fail_os(errno, "stat");
  }
  if (!S_ISREG(st.st_mode)) {
    return fail_os(S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "not a regular file");
  }
  hash::Sha256 digest;
  CPAWAY_ASSIGN(const uint64_t size, digest_range(file.fd, 0, UINT64_MAX, digest));
  return wire::Digest::Answer{size, digest.value()};
}

Result<wire::Compare::Answer> on_compare(Context& context, const wire::Compare& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  if (request.chunks.size() > wire::Compare::kMaxChunks || request.offset > INT64_MAX) {
    return fail_os(EINVAL, "chunks");
  }
  wire::Compare::Answer answer;
  uint64_t size = 0;
  for (const wire::ChunkAt& chunk : request.chunks) {
    if (chunk.size > wire::kBlockSize - size) {
      return fail_os(EINVAL, "chunks");
    }
    const std::span<uint8_t> buffer = thread_buffer().first(chunk.size);
    CPAWAY_ASSIGN(const size_t got, read_range(handle->fd.get(), buffer, request.offset + size));
    answer.equal.push_back(got == chunk.size && hash::block_hash(buffer) == chunk.hash ? 1 : 0);
    size += chunk.size;
  }
  return answer;
}

}  // namespace cpaway::agent
