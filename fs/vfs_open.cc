// Open files: open, create, close.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "engine/base/log.h"
#include "engine/wire/names.h"
#include "fs/errno_map.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// Truncating is writing, whatever else the descriptor is for.
bool opens_for_writing(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

// Of a running program the kernel refuses it once the mount has done it, and has dropped the pages
// that the program runs on. Opens for writing it does not even send.
bool truncates_reading(int flags) {
  return (flags & O_ACCMODE) == O_RDONLY && (flags & O_TRUNC) != 0;
}

// What is left of a file's mode when `caller` writes to it: chmod(2), open(2).
uint32_t written_mode(uint32_t mode, const fuse_ctx& caller) {
  if (caller.uid == 0) {
    return mode;  // CAP_FSETID, as far as can be seen from here
  }
  return mode & ~static_cast<uint32_t>(S_ISUID | ((mode & S_IXGRP) != 0 ? S_ISGID : 0));
}

uint8_t wanted_access(int flags) {
  const bool reads = (flags & O_ACCMODE) != O_WRONLY;
  return static_cast<uint8_t>((opens_for_writing(flags) ? wire::kMayWrite : 0) |
                              (reads ? wire::kMayRead : 0));
}

// The errno for what the agent's user may not do, 0 where it may.
int access_error(const wire::Attr& attr, uint8_t wanted) {
  if ((wanted & wire::kMayWrite) != 0 && (attr.access & wire::kReadOnlyFilesystem) != 0) {
    return EROFS;
  }
  if ((wanted & wire::kMayWrite) != 0 && (attr.access & wire::kImmutable) != 0) {
    return EPERM;
  }
  return (attr.access & wanted) == wanted ? 0 : EACCES;
}

// The same for opening it.
int open_error(const wire::Attr& attr, int flags) {
  const int error = access_error(attr, wanted_access(flags));
  const bool writes_over =
      (flags & O_TRUNC) != 0 || (opens_for_writing(flags) && (flags & O_APPEND) == 0);
  if (error == 0 && writes_over && (attr.access & wire::kAppendOnly) != 0) {
    return EPERM;
  }
  return error;
}

// A new version is renamed over the old one there, or a part that was given up removed.
bool may_stage_in(const wire::Attr& parent) {
  return access_error(parent, wire::kMayWrite | wire::kMayExecute) == 0 &&
         (parent.access & wire::kAppendOnly) == 0;
}

// What a file that another host has created meanwhile gets from one that was opened like this: on a
// local filesystem both programs would have opened the same.
uint8_t join_of(int flags) {
  if ((flags & O_EXCL) != 0) {
    return wire::kJoinNot;
  }
  if ((flags & O_TRUNC) != 0) {
    return wire::kJoinEmptied;
  }
  return (flags & O_APPEND) != 0 ? wire::kJoinAppend : wire::kJoinWrite;
}

bool same_content(const wire::Attr& a, const wire::Attr& b) {
  return a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime && a.ino == b.ino;
}

// The file that a name like ".name.AbC123" is a temporary one of (rsync, mktemp); "" where there is
// none.
std::string original_of(const std::string& name) {
  constexpr size_t kSuffix = 7;
  if (name.size() < kSuffix + 2 || name.front() != '.' || name[name.size() - kSuffix] != '.') {
    return {};
  }
  const bool random = std::all_of(name.end() - (kSuffix - 1), name.end(),
                                  [](unsigned char c) { return std::isalnum(c) != 0; });
  return random ? name.substr(1, name.size() - kSuffix - 1) : std::string();
}

}  // namespace

upload::Context Vfs::upload_context() {
  return {agent_,
          workers_,
          window_,
          timer_,
          journal_,
          options_.verify_retries,
          options_.compress ? upload::Compress::automatic : upload::Compress::off};
}

std::shared_ptr<OpenFile> Vfs::find_file(const Reply& reply, uint64_t handle) {
  auto file = files_.find(handle);
  if (!file) {
    reply.error(EBADF);
  }
  return file;
}

std::shared_ptr<OpenFile> Vfs::add_open_file(const InodePtr& inode, bool writes, int flags) {
  const MutexLock lock(inode->mutex);
  return add_open_file_locked(inode, writes, flags);
}

std::shared_ptr<OpenFile> Vfs::add_open_file_locked(const InodePtr& inode, bool writes, int flags) {
  auto file = std::make_shared<OpenFile>(inode, writes, flags);
  std::erase_if(inode->open_files, [](const auto& weak) { return weak.expired(); });
  inode->open_files.push_back(file);
  ++inode->open_handles;
  inode->open_writers += writes ? 1 : 0;
  inode->running += file->executes ? 1 : 0;
  return file;
}

void Vfs::reply_open(const Reply& reply, const std::shared_ptr<OpenFile>& file,
                     const fuse_file_info& info) {
  fuse_file_info out = info;
  out.fh = files_.add(file);
  if (!reply.open(out)) {
    close_file(files_.take(out.fh));
  }
}

void Vfs::reply_open_emptied(const Reply& reply, const std::shared_ptr<OpenFile>& file,
                             const fuse_file_info& info, bool was_abandoned) {
  fuse_file_info out = info;
  out.fh = files_.add(file);
  if (reply.open(out)) {
    return;
  }
  {
    Inode& inode = *file->inode;
    const MutexLock lock(inode.mutex);
    if (inode.staged && !inode.staged->committing && (was_abandoned || inode.open_writers == 1)) {
      inode.staged->abandoned = true;
    }
  }
  close_file(files_.take(out.fh));
}

// True where the page cache still holds what the file holds.
bool Vfs::keep_cache(const InodePtr& inode, const wire::Attr& attr) {
  const MutexLock lock(inode->mutex);
  const bool same = same_content(inode->cached_attr, attr);
  inode->cached_attr = attr;
  return same;
}

void Vfs::open(const Reply& reply, uint64_t id, const fuse_file_info& file, bool copying) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  when_settled(inode, [this, reply, inode, file, copying](const StagedUse& use) {
    bool staged = false;
    bool has_writer = false;
    {
      const MutexLock lock(inode->mutex);
      staged = inode->staged.has_value();
      has_writer = inode->writer != nullptr;
    }
    if (staged) {
      open_staged(reply, inode, file, use, copying);
      return;
    }
    const auto judge = [this, reply, inode, file, copying](const Result<wire::Attr>& attr) {
      if (attr) {
        open_known(reply, inode, *attr, file, copying);
      } else {
        refuse_open(reply, inode, attr.error());
      }
    };
    if (has_writer && opens_for_writing(file.flags)) {
      // It would write by the handle of another program, which may have the name no more.
      wait_in_place(inode, [this, inode, judge] { fetch_attr(inode, Meant::name, judge); });
    } else {
      with_attr(inode, judge, Meant::name);
    }
  });
}

// What somebody else has removed may be another file by now, or one that the program wants made
// (O_CREAT is not passed on): the kernel looks the name up again on ESTALE.
void Vfs::refuse_open(const Reply& reply, const InodePtr& inode, const Error& error) {
  forget_attr(inode);
  const int os_errno = errno_of(error);
  reply.error(os_errno == ENOENT ? ESTALE : os_errno);
}

// The file is being written: this handle joins in.
void Vfs::open_staged(const Reply& reply, const InodePtr& inode, const fuse_file_info& info,
                      const StagedUse& use, bool copying) {
  std::shared_ptr<upload::Upload> upload;
  bool was_abandoned = false;
  int error = 0;
  {
    const MutexLock lock(inode->mutex);
    error = open_error(inode->attr, info.flags);
    if (error == 0 && is_busy(*inode, info.flags)) {
      error = ETXTBSY;
    }
    if (error == 0 && inode->staged && opens_for_writing(info.flags)) {
      note_opened(*inode->staged, info.flags);
    }
    if (error == 0 && inode->staged && (info.flags & O_TRUNC) != 0) {
      upload = inode->staged->upload;
      was_abandoned = inode->staged->abandoned;
      revive(*inode, reply);
      note_new_content(*inode);
      drop_privileges(*inode, written_mode(inode->attr.mode, reply.context()));
    }
  }
  if (error != 0) {
    reply.error(error);
    return;
  }
  const auto file = add_open_file(inode, opens_for_writing(info.flags), info.flags);
  if (!upload) {
    reply_open(reply, file, info);
    return;
  }
  file->touched = true;
  file->is_copy = copying;
  file->may_be_refused = truncates_reading(info.flags);
  upload->truncate(0, [this, reply, file, info, use, was_abandoned](const Status& status) {
    if (status) {
      reply_open_emptied(reply, file, info, was_abandoned);
    } else {
      close_file(file);
      reply.error(status.error());
    }
  });
}

// What is joined to another file is what the least careful of those that had it open has written.
void Vfs::note_opened(Staged& staged, int flags) {
  uint8_t& join = staged.placement.join;
  if (join != wire::kJoinNot && join_of(flags) != wire::kJoinNot) {
    join = std::max(join, join_of(flags));
  }
}

bool Vfs::is_busy(const Inode& inode, int flags) {
  return inode.running > 0 && truncates_reading(flags);
}

void Vfs::open_known(const Reply& reply, const InodePtr& inode, const wire::Attr& attr,
                     const fuse_file_info& file, bool copying) {
  const bool writes = opens_for_writing(file.flags);
  if (const int error = open_error(attr, file.flags); error != 0) {
    reply.error(error);
    return;
  }
  if (!writes) {
    {
      const MutexLock lock(inode->mutex);
      inode->last_reader = reply.caller();
    }
    fuse_file_info info = file;
    info.keep_cache = keep_cache(inode, attr) ? 1 : 0;
    const auto opened = add_open_file(inode, false, info.flags);
    // Sent, not awaited: a failure comes with the first read.
    ignore(read_handle(*opened), "the first read reports it");
    reply_open(reply, opened, info);
    return;
  }
  const InodePtr parent = (file.flags & O_TRUNC) != 0 ? inodes_.parent(*inode) : nullptr;
  if (!parent) {
    open_writing(reply, inode, attr, file, (file.flags & O_TRUNC) != 0);
    return;
  }
  with_access(parent,
              [this, reply, inode, attr, file, copying](const Result<wire::Attr>& parent_attr) {
                if (parent_attr) {
                  open_truncating(reply, inode, attr, *parent_attr, file, copying);
                } else {
                  reply.error(parent_attr.error());
                }
              });
}

// A new version is staged, unless putting another file in its place would break something: other
// names of the same file, an owner that we cannot give it, a directory that we may not change, a
// lock that others are to see.
void Vfs::open_truncating(const Reply& reply, const InodePtr& inode, const wire::Attr& attr,
                          const wire::Attr& parent, const fuse_file_info& info, bool copying) {
  const bool owner = attr.uid == map_.remote_uid() || map_.remote_uid() == 0;
  // Its extended attributes are handed down; those of the user can be read by who may read the
  // file.
  const bool readable = (attr.access & (wire::kMayRead | wire::kNoXattrs)) != 0;
  const bool replaceable = S_ISREG(attr.mode) && attr.nlink == 1 && owner && readable &&
                           may_stage_in(parent) && (copying || !locks_.is_locked(inode->id));
  const auto path = replaceable ? inodes_.path(*inode) : std::nullopt;
  if (!path) {
    open_writing(reply, inode, attr, info, true);
    return;
  }
  auto upload = upload::Upload::create(upload_context(), *path, {upload::key_of(attr), {}});
  // The next version will be about as large. Who only writes cannot map it.
  fuse_file_info out = info;
  const bool direct = copying && (info.flags & O_ACCMODE) == O_WRONLY && attr.size >= kLargeFile;
  std::shared_ptr<OpenFile> file;
  bool busy = false;
  {
    const MutexLock lock(inode->mutex);
    busy = is_busy(*inode, info.flags);
    if (busy || inode->staged) {
      upload = nullptr;  // another open was faster: its upload is this one's, too
    } else {
      inode->attr = attr;
      inode->attr.mtime = remote_clock_.now();
      inode->attr.ctime = inode->attr.mtime;
      stage(*inode, upload, false, false);
      drop_privileges(*inode, written_mode(inode->attr.mode, reply.context()));
      file = add_open_file_locked(inode, true, info.flags);
      file->touched = true;
      file->is_copy = copying;
      file->may_be_refused = truncates_reading(info.flags);
      // Others that have it open may have it mapped.
      inode->staged->uncached = direct && inode->open_handles == 1;
      out.direct_io = inode->staged->uncached ? 1 : 0;
    }
  }
  if (busy) {
    reply.error(ETXTBSY);
    return;
  }
  if (!upload) {
    open(reply, inode->id, info, copying);
    return;
  }
  retire_writer(inode);
  transfers_.start(upload, *path);
  reply_open_emptied(reply, file, out, false);
}

void Vfs::drop_privileges(Inode& inode, uint32_t mode) {
  if (mode != inode.attr.mode) {
    inode.attr.mode = mode;
    inode.staged->placement.attr.mode = mode & 07777U;
    inode.staged->changed = true;
  }
}

void Vfs::stage(Inode& inode, std::shared_ptr<upload::Upload> upload, bool is_new, bool exclusive) {
  Staged staged;
  staged.upload = std::move(upload);
  staged.listed = staged_inodes_.add(inode.id);
  staged.is_new = is_new;
  staged.placement.exclusive = exclusive;
  staged.placement.create_mode = inode.attr.mode & 07777U;
  inode.staged = std::move(staged);
  inode.sha256.reset();
  ++inode.change_count;
}

// In place: the writer is opened at the agent now, and truncated there where that is asked for.
void Vfs::open_writing(const Reply& reply, const InodePtr& inode, const wire::Attr& before,
                       const fuse_file_info& info, bool truncate) {
  if (truncate && reply.answered()) {
    return;  // killed meanwhile: the old file stays
  }
  std::shared_ptr<OpenFile> file;
  {
    const MutexLock lock(inode->mutex);
    if (!is_busy(*inode, info.flags)) {
      file = add_open_file_locked(inode, true, info.flags);
    }
  }
  if (!file) {
    reply.error(ETXTBSY);
    return;
  }
  const auto writer = in_place_writer(inode);
  if (!writer) {
    close_file(file);
    refuse_open(reply, inode, writer.error());
    return;
  }
  if (!truncate) {
    reply_open(reply, file, info);
    return;
  }
  (*writer)->set_known_size(0);
  {
    const MutexLock lock(inode->mutex);
    inode->sha256.reset();
  }
  forget_attr(inode);
  wire::SetAttrRequest request{wire::Target{(*writer)->handle(), {}}, {}};
  request.attr.size = 0;
  // Otherwise the agent's kernel sees to it.
  const uint32_t mode = written_mode(before.mode, reply.context());
  if (mode != before.mode && map_.remote_uid() == 0) {
    request.attr.mode = mode & 07777U;
  }
  client::call(agent_, request, [this, reply, file, info](const Result<wire::Attr>& attr) {
    forget_attr(file->inode);
    if (attr) {
      reply_open(reply, file, info);
    } else {
      close_file(file);
      refuse_open(reply, file->inode, attr.error());
    }
  });
}

void Vfs::create(const Reply& reply, uint64_t parent_id, std::string_view name, uint32_t mode,
                 const fuse_file_info& file) {
  const InodePtr parent = find_inode(reply, parent_id);
  if (!parent) {
    return;
  }
  if (wire::is_staging_name(name)) {
    reply.error(EPERM);
    return;
  }
  with_access(parent, [this, reply, parent, name = std::string(name), mode,
                       file](const Result<wire::Attr>& attr) {
    if (!attr) {
      reply.error(attr.error());
      return;
    }
    if (const int error = access_error(*attr, wire::kMayWrite | wire::kMayExecute); error != 0) {
      reply.error(error);
      return;
    }
    with_default_acl(
        parent, *attr,
        [this, reply, parent, attr = *attr, name, mode,
         file](const Result<std::optional<Bytes>>& acl) {
          if (!acl) {
            reply.error(acl.error());
            return;
          }
          InheritedAcl inherited{mode & ~(reply.context().umask & 0777U), std::nullopt};
          if (*acl) {
            inherited = inherit_acl(**acl, mode).value_or(inherited);
          }
          create_known(reply, parent, attr, name, inherited, file);
        });
  });
}

// The default ACL of a directory with these attributes, where it has one.
void Vfs::with_default_acl(const InodePtr& directory, const wire::Attr& attr, AclDone done) {
  std::optional<KnownAcl> known;
  {
    const MutexLock lock(directory->mutex);
    if (directory->default_acl && system_clock().now_ms() < directory->default_acl->deadline_ms) {
      known = directory->default_acl;
    }
  }
  const auto target = target_of(directory);
  if ((attr.access & wire::kNoXattrs) != 0 || !target) {
    done(std::optional<Bytes>());
    return;
  }
  if (known) {
    done(std::move(known->acl));
    return;
  }
  client::call(agent_, wire::GetXattr{*target, std::string(kDefaultAcl)},
               [directory, done = std::move(done)](Result<wire::GetXattr::Answer> answer) {
                 if (!answer && answer.error().code != Errc::os) {
                   done(fail(answer.error()));
                   return;
                 }
                 KnownAcl acl;
                 acl.deadline_ms = system_clock().now_ms() + kCacheMs;
                 if (answer) {
                   acl.acl = std::move(answer->value);
                 }
                 {
                   const MutexLock lock(directory->mutex);
                   directory->default_acl = acl;
                 }
                 done(std::move(acl.acl));
               });
}

// Nothing is sent yet: the name appears on the remote host with the commit.
void Vfs::create_known(const Reply& reply, const InodePtr& parent, const wire::Attr& parent_attr,
                       const std::string& name, const InheritedAcl& inherited,
                       const fuse_file_info& info) {
  if ((parent_attr.access & wire::kAppendOnly) != 0) {
    create_in_place(reply, parent, name, inherited.mode, info);
    return;
  }
  const auto path = find_path(reply, parent, name);
  if (!path) {
    return;
  }
  const auto replaced = pending_unlinks_.claim(*parent, name, reply.caller());
  pending_unlinks_.flush(*parent, name);  // of another program
  upload::Hints hints;
  if (replaced) {
    hints.old_version = replaced->version;
  } else if (const std::string original = original_of(name); !original.empty()) {
    hints.similar_path = inodes_.path(*parent, original).value_or("");
  }
  const InodePtr inode = inodes_.create(parent, name);
  auto upload = upload::Upload::create(upload_context(), *path, std::move(hints));
  transfers_.start(upload, *path);
  wire::Attr attr;
  attr.mode = S_IFREG | (inherited.mode & 07777U);
  attr.nlink = 1;
  const bool parents_group = (parent_attr.mode & S_ISGID) != 0;
  const auto owner = owner_of_new(reply);
  attr.uid = owner ? owner->uid : map_.remote_uid();
  attr.gid = parents_group ? parent_attr.gid : (owner ? owner->gid : map_.remote_gid());
  attr.atime = attr.mtime = attr.ctime = remote_clock_.now();
  attr.access = map_.access_of_own(inherited.mode);
  {
    const MutexLock lock(inode->mutex);
    inode->attr = attr;
    stage(*inode, std::move(upload), !replaced, (info.flags & O_EXCL) != 0 && !replaced);
    inode->staged->replaces = replaced.has_value();
    inode->staged->replaced = replaced ? replaced->inode : nullptr;
    inode->staged->placement.fresh = replaced.has_value();
    inode->staged->placement.join = replaced ? wire::kJoinNot : join_of(info.flags);
    if (inherited.access) {
      inode->staged->placement.xattrs.push_back({std::string(kAccessAcl), *inherited.access});
    }
    if (owner) {
      constexpr auto kSame = static_cast<uint32_t>(-1);
      inode->staged->placement.owner = wire::Owner{attr.uid, parents_group ? kSame : attr.gid};
    }
  }
  forget_times(parent);
  note_new_names(*parent);
  const auto file = add_open_file(inode, true, info.flags);
  file->touched = true;
  file->is_copy = is_copying(reply.caller());
  fuse_file_info out = info;
  out.fh = files_.add(file);
  if (!reply.create(entry_of(*inode, attr), out)) {
    abandon(inode);
    close_file(files_.take(out.fh));
    inodes_.forget(inode->id, 1);
  }
}

// In a directory from which nothing may be removed: a part would stay there for ever.
void Vfs::create_in_place(const Reply& reply, const InodePtr& parent, const std::string& name,
                          uint32_t mode, const fuse_file_info& info) {
  const auto path = find_path(reply, parent, name);
  if (!path) {
    return;
  }
  const uint32_t handle = next_handle();
  const uint32_t flags = wire::kOpenRead | wire::kOpenWrite | wire::kOpenCreate;
  client::call(agent_, wire::Open{handle, *path, flags, mode & 07777U, 0},
               [this, reply, parent, name, handle, info](const Result<wire::Attr>& made) {
                 if (!made) {
                   const int error = errno_of(made.error());
                   // Somebody was faster: on ESTALE the kernel looks the name up, and opens it.
                   reply.error(error == EEXIST && (info.flags & O_EXCL) == 0 ? ESTALE : error);
                   return;
                 }
                 wire::SetAttrRequest owner{wire::Target{handle, {}}, {}};
                 if (const auto maker = owner_of_new(reply)) {
                   owner.attr.uid = maker->uid;
                   owner.attr.gid = maker->gid;
                 }
                 // Nobody has asked for an owner: where there are none, it stays what it is.
                 client::call(agent_, owner,
                              [this, reply, parent, name, handle, info,
                               made = *made](const Result<wire::Attr>& given) {
                                reply_made(reply, parent, name, given ? *given : made, handle,
                                           info);
                              });
               });
}

void Vfs::reply_made(const Reply& reply, const InodePtr& parent, const std::string& name,
                     const wire::Attr& attr, uint32_t handle, const fuse_file_info& info) {
  remote_clock_.observe(attr.ctime);
  const InodePtr inode = inodes_.intern(parent, name, attr);
  forget_times(parent);
  WriterBase base{};
  {
    const MutexLock lock(inode->mutex);
    inode->attr = attr;
    inode->attr_deadline_ms = system_clock().now_ms() + kCacheMs;
    base = writer_base(*inode);
  }
  const auto file = add_open_file(inode, true, info.flags);
  static_cast<void>(adopt_writer(inode, handle, attr.size, base));
  fuse_file_info out = info;
  out.fh = files_.add(file);
  if (!reply.create(entry_of(*inode, attr), out)) {
    close_file(files_.take(out.fh));
    inodes_.forget(inode->id, 1);
  }
}

void Vfs::release(const Reply& reply, uint64_t handle) {
  const auto file = files_.take(handle);
  if (!file) {
    reply.error(EBADF);
    return;
  }
  if (const auto owners = locks_.take_all(file); !owners.empty()) {
    release_locks(owners, nullptr);
  }
  close_file(file);
  reply.ok();
}

void Vfs::close_file(const std::shared_ptr<OpenFile>& file) {
  uint32_t handle = 0;
  {
    const MutexLock lock(file->mutex);
    handle = std::exchange(file->remote_handle, 0);
    file->is_closed = true;
  }
  close_remote(handle);
  bool last_writer = false;
  bool give_up = false;
  uint32_t kept = 0;
  {
    Inode& inode = *file->inode;
    const MutexLock lock(inode.mutex);
    last_writer = file->writes && --inode.open_writers == 0;
    inode.running -= file->executes ? 1 : 0;
    const bool readable = (map_.access_of_own(inode.attr.mode) & wire::kMayRead) != 0;
    if (--inode.open_handles == 0 || (last_writer && readable)) {
      kept = std::exchange(inode.kept_handle, 0);
      kept = kept != inode.writer_handle ? kept : 0;  // else end_writing() closes it
    }
    inode.out_of_reach = inode.out_of_reach && inode.open_handles > 0;
    if (file->may_be_refused && last_writer && inode.staged && !inode.staged->committing &&
        inode.staged->upload->progress().written == 0) {
      inode.staged->abandoned = true;
    }
    give_up = inode.open_handles == 0 && inode.staged && inode.staged->unlinked;
  }
  close_remote(kept);
  if (give_up) {
    abandon(file->inode);
  }
  if (last_writer) {
    end_writing(file->inode);
  }
}

}  // namespace cpaway::fs
