#include "fs/ops.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <exception>
#include <string>

#include "engine/base/log.h"

namespace cpaway::fs {
namespace {

// A write that the kernel sends is at most this; Linux takes 256 pages at most.
constexpr unsigned kMaxWrite = 1U << 20U;

// Libraries may throw (allocation); the kernel gets an answer all the same, from Reply's end.
template <class Call>
void serve(fuse_req_t req, Call call) {
  auto& context = *static_cast<OpsContext*>(fuse_req_userdata(req));
  const Reply reply(req, context.interrupts);
  try {
    call(context.vfs, reply);
  } catch (const std::exception& error) {
    log::error("internal error: ", error.what());
    reply.error(EIO);
  }
}

void op_init(void* userdata, fuse_conn_info* connection) {
  connection->max_write = kMaxWrite;
  connection->max_readahead = kMaxWrite;
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  connection->time_gran = 1;
  // Other hosts change these files, too: what the kernel caches for writing would not be safe.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_WRITEBACK_CACHE);
  if (!static_cast<OpsContext*>(userdata)->remote_locks) {
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
  }
  const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                          FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS |
                          FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_DONT_MASK;
  connection->want |= connection->capable & wanted;
  // It would have the kernel here judge all permissions; where it does anyway, then by ACLs too.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_POSIX_ACL);
  if (static_cast<OpsContext*>(userdata)->judges_here) {
    connection->want |= connection->capable & FUSE_CAP_POSIX_ACL;
  }
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.lookup(reply, parent, name); });
}

Vfs& vfs_of(fuse_req_t req) {
  return static_cast<OpsContext*>(fuse_req_userdata(req))->vfs;
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count) {
  vfs_of(req).forget(ino, count);
  fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i) {
    vfs_of(req).forget(forgets[i].ino, forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info* /*file*/) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.getattr(reply, ino); });
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat* attr, int to_set,
                fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.setattr(reply, ino, *attr, to_set, file != nullptr);
  });
}

void op_readlink(fuse_req_t req, fuse_ino_t ino) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.readlink(reply, ino); });
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.mknod(reply, parent, name, mode, rdev); });
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.mkdir(reply, parent, name, mode); });
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  const bool copying = vfs_of(req).is_copying(fuse_req_ctx(req)->pid);
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.unlink(reply, parent, name, copying); });
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.rmdir(reply, parent, name); });
}

void op_symlink(fuse_req_t req, const char* text, fuse_ino_t parent, const char* name) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.symlink(reply, text, parent, name); });
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.rename(reply, parent, name, new_parent, new_name, flags);
  });
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char* new_name) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.link(reply, ino, new_parent, new_name); });
}

void op_open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file) {
  const bool copying =
      (file->flags & O_TRUNC) != 0 && vfs_of(req).is_copying(fuse_req_ctx(req)->pid);
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.open(reply, ino, *file, copying); });
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.create(reply, parent, name, mode, *file); });
}

void op_read(fuse_req_t req, fuse_ino_t /*ino*/, size_t size, off_t offset, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.read(reply, file->fh, static_cast<uint64_t>(offset), static_cast<uint32_t>(size));
  });
}

void op_write(fuse_req_t req, fuse_ino_t /*ino*/, const char* data, size_t size, off_t offset,
              fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.write(reply, file->fh, static_cast<uint64_t>(offset),
              as_bytes(std::string_view(data, size)), (file->flags & O_APPEND) != 0);
  });
}

void op_flush(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* file) {
  const Closing closing = vfs_of(req).begin_closing(file->fh, fuse_req_ctx(req)->pid);
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.flush(reply, file->fh, file->lock_owner, closing);
  });
}

void op_release(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.release(reply, file->fh); });
}

void op_fsync(fuse_req_t req, fuse_ino_t /*ino*/, int data_only, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.fsync(reply, file->fh, data_only != 0); });
}

void op_lseek(fuse_req_t req, fuse_ino_t /*ino*/, off_t offset, int whence, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.lseek(reply, file->fh, static_cast<uint64_t>(offset), whence);
  });
}

void op_fallocate(fuse_req_t req, fuse_ino_t /*ino*/, int mode, off_t offset, off_t size,
                  fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.fallocate(reply, file->fh, static_cast<uint32_t>(mode), static_cast<uint64_t>(offset),
                  static_cast<uint64_t>(size));
  });
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t /*ino_in*/, off_t offset_in,
                        fuse_file_info* file_in, fuse_ino_t /*ino_out*/, off_t offset_out,
                        fuse_file_info* file_out, size_t size, int flags) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.copy_file_range(reply,
                        {file_in->fh, static_cast<uint64_t>(offset_in), file_out->fh,
                         static_cast<uint64_t>(offset_out), static_cast<uint64_t>(size), flags});
  });
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned command, void* /*arg*/,
              fuse_file_info* /*file*/, unsigned /*flags*/, const void* in, size_t in_size,
              size_t out_size) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.ioctl(reply, ino, command, {static_cast<const uint8_t*>(in), in_size}, out_size);
  });
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.opendir(reply, ino, *file); });
}

void op_readdir(fuse_req_t req, fuse_ino_t /*ino*/, size_t size, off_t offset,
                fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.readdir(reply, file->fh, static_cast<uint64_t>(offset), size, false);
  });
}

void op_readdirplus(fuse_req_t req, fuse_ino_t /*ino*/, size_t size, off_t offset,
                    fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.readdir(reply, file->fh, static_cast<uint64_t>(offset), size, true);
  });
}

void op_releasedir(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.releasedir(reply, file->fh); });
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t /*ino*/, int data_only, fuse_file_info* file) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.fsyncdir(reply, file->fh, data_only != 0); });
}

void op_statfs(fuse_req_t req, fuse_ino_t ino) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.statfs(reply, ino == 0 ? 1 : ino); });
}

void op_access(fuse_req_t req, fuse_ino_t ino, int mask) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.access(reply, ino, mask); });
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.getxattr(reply, ino, name, size); });
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.listxattr(reply, ino, size); });
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size,
                 int flags) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.setxattr(reply, ino, name, as_bytes(std::string_view(value, size)), flags);
  });
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  serve(req, [&](Vfs& vfs, const Reply& reply) { vfs.removexattr(reply, ino, name); });
}

LockRange range_of(const struct flock& lock) {
  LockRange range;
  if (lock.l_type != F_UNLCK) {
    range.type = lock.l_type == F_WRLCK ? wire::kWriteLock : wire::kReadLock;
  }
  // The kernel gives what it made of l_whence: a start, and a length that is 0 to the end.
  range.first = static_cast<uint64_t>(lock.l_start);
  if (lock.l_len != 0) {
    range.last = range.first + static_cast<uint64_t>(lock.l_len) - 1;
  }
  return range;
}

void op_getlk(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* file, struct flock* lock) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.test_lock(reply, file->fh, {wire::kPosixLock, file->lock_owner, range_of(*lock)});
  });
}

void op_setlk(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* file, struct flock* lock,
              int sleep) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    vfs.lock(reply, file->fh,
             {wire::kPosixLock, file->lock_owner, range_of(*lock), sleep != 0, lock->l_pid});
  });
}

// An open file's: the kernel's number of the owner comes again with the next file that is opened,
// and perhaps before the release of the one before has come to be served.
void op_flock(fuse_req_t req, fuse_ino_t /*ino*/, fuse_file_info* file, int operation) {
  serve(req, [&](Vfs& vfs, const Reply& reply) {
    LockRange range;
    if ((operation & LOCK_UN) == 0) {
      range.type = (operation & LOCK_EX) != 0 ? wire::kWriteLock : wire::kReadLock;
    }
    vfs.lock(reply, file->fh,
             {wire::kFlock, file->fh, range, (operation & LOCK_NB) == 0, reply.caller()});
  });
}

}  // namespace

const fuse_lowlevel_ops& fuse_ops() {
  static const fuse_lowlevel_ops ops = [] {
    fuse_lowlevel_ops out{};
    out.init = op_init;
    out.lookup = op_lookup;
    out.forget = op_forget;
    out.forget_multi = op_forget_multi;
    out.getattr = op_getattr;
    out.setattr = op_setattr;
    out.readlink = op_readlink;
    out.mknod = op_mknod;
    out.mkdir = op_mkdir;
    out.unlink = op_unlink;
    out.rmdir = op_rmdir;
    out.symlink = op_symlink;
    out.rename = op_rename;
    out.link = op_link;
    out.open = op_open;
    out.create = op_create;
    out.read = op_read;
    out.write = op_write;
    out.flush = op_flush;
    out.release = op_release;
    out.fsync = op_fsync;
    out.lseek = op_lseek;
    out.fallocate = op_fallocate;
    out.copy_file_range = op_copy_file_range;
    out.ioctl = op_ioctl;
    out.opendir = op_opendir;
    out.readdir = op_readdir;
    out.readdirplus = op_readdirplus;
    out.releasedir = op_releasedir;
    out.fsyncdir = op_fsyncdir;
    out.statfs = op_statfs;
    out.access = op_access;
    out.getxattr = op_getxattr;
    out.listxattr = op_listxattr;
    out.setxattr = op_setxattr;
    out.removexattr = op_removexattr;
    out.getlk = op_getlk;
    out.setlk = op_setlk;
    out.flock = op_flock;
    return out;
  }();
  return ops;
}

}  // namespace cpaway::fs
