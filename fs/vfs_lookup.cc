// Names and attributes.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "engine/wire/names.h"
#include "fs/errno_map.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

constexpr size_t kNameMax = 255;

bool is_before(const wire::Time& a, const wire::Time& b) {
  return std::pair(a.seconds, a.nanoseconds) < std::pair(b.seconds, b.nanoseconds);
}

}  // namespace

InodePtr Vfs::find_inode(const Reply& reply, uint64_t id) {
  InodePtr inode = inodes_.find(id);
  if (!inode) {
    reply.error(ESTALE);
  }
  return inode;
}

std::optional<std::string> Vfs::find_path(const Reply& reply, const InodePtr& parent,
                                          std::string_view name) {
  if (name.size() > kNameMax) {
    reply.error(ENAMETOOLONG);
    return std::nullopt;
  }
  auto path = inodes_.path(*parent, name);
  if (!path) {
    reply.error(ENOENT);
  } else if (path->size() >= wire::kMaxString) {
    reply.error(ENAMETOOLONG);
    path.reset();
  }
  return path;
}

std::optional<wire::Target> Vfs::target_of(const InodePtr& inode) {
  auto path = inodes_.path(*inode);
  {
    const MutexLock lock(inode->mutex);
    if (path && !inode->out_of_reach) {
      return wire::Target{0, std::move(*path)};
    }
  }
  if (auto opened = opened_target(inode, !path)) {
    return opened;
  }
  return path ? std::optional(wire::Target{0, std::move(*path)}) : std::nullopt;
}

std::optional<wire::Target> Vfs::opened_target(const InodePtr& inode, bool any_version) {
  std::vector<std::shared_ptr<OpenFile>> files;
  uint64_t version = 0;
  {
    const MutexLock lock(inode->mutex);
    version = inode->version;
    if (inode->writer_handle != 0) {
      return wire::Target{inode->writer_handle, {}};
    }
    if (inode->kept_handle != 0) {
      return wire::Target{inode->kept_handle, {}};
    }
    for (const auto& weak : inode->open_files) {
      if (auto file = weak.lock()) {
        files.push_back(std::move(file));
      }
    }
  }
  for (const auto& file : files) {
    const MutexLock lock(file->mutex);
    if (file->remote_handle != 0 && (any_version || file->version == version)) {
      return wire::Target{file->remote_handle, {}};
    }
  }
  for (const auto& stream : dirs_.all()) {
    if (stream->inode == inode && stream->remote_handle != 0) {
      return wire::Target{stream->remote_handle, {}};
    }
  }
  return std::nullopt;
}

std::optional<wire::Target> Vfs::target_of(OpenFile& file) {
  uint32_t handle = 0;
  uint64_t version = 0;
  {
    const MutexLock lock(file.inode->mutex);
    version = file.inode->version;
    handle = file.inode->writer_handle != 0 ? file.inode->writer_handle : file.inode->kept_handle;
  }
  if (handle == 0) {
    const MutexLock lock(file.mutex);
    handle = file.version == version ? file.remote_handle : 0;
  }
  return handle != 0 ? wire::Target{handle, {}} : target_of(file.inode);
}

void Vfs::show_names_changed(Inode& directory, wire::Attr& shown) {
  const wire::Time time = *directory.names_changed;
  const wire::Time first = directory.unchanged_mtime.value_or(shown.mtime);
  if (shown.mtime != first || !is_before(first, time)) {
    directory.names_changed.reset();
    return;
  }
  directory.unchanged_mtime = first;
  shown.mtime = time;
  shown.ctime = is_before(shown.ctime, time) ? time : shown.ctime;
}

// What the commit has stamped shows as the program saw it while it wrote: git, for one, compares.
// And a directory shows at once that names came or went: rsync looks, and sets its times; git asks
// whether there may be new files.
struct stat Vfs::shown_stat(Inode& inode, const wire::Attr& attr) const {
  wire::Attr shown = attr;
  {
    const MutexLock lock(inode.mutex);
    if (attr.ctime == inode.committed_ctime) {
      shown.ctime = inode.shown_ctime;
    }
    if (inode.unlink_pends) {
      shown.nlink = 0;
    }
    if (inode.names_changed) {
      show_names_changed(inode, shown);
    }
  }
  return map_.to_stat(shown, inode.shown_ino);
}

void Vfs::note_new_names(Inode& directory) {
  const wire::Time now = remote_clock_.now();
  const MutexLock lock(directory.mutex);
  if (!directory.names_changed) {
    directory.unchanged_mtime.reset();
  }
  directory.names_changed = now;
}

fuse_entry_param Vfs::entry_of(Inode& inode, const wire::Attr& attr) const {
  fuse_entry_param entry{};
  entry.ino = inode.id;
  entry.generation = 1;
  entry.attr = shown_stat(inode, attr);
  const bool near = is_near_locks(inode);
  entry.attr_timeout = near ? 0 : kCacheSeconds;
  entry.entry_timeout = near ? 0 : kCacheSeconds;
  return entry;
}

// What is being written here is newer than what the agent knows.
std::optional<wire::Attr> Vfs::known_attr(const InodePtr& inode) {
  const MutexLock lock(inode->mutex);
  if (is_local(inode->staged)) {
    wire::Attr attr = inode->attr;
    attr.size = inode->staged->upload->size();
    attr.blocks = (attr.size + 511) / 512;
    return attr;
  }
  if (inode->writer && inode->writer->busy()) {
    return std::nullopt;
  }
  if (system_clock().now_ms() < inode->attr_deadline_ms) {
    return inode->attr;
  }
  return std::nullopt;
}

void Vfs::remember_attr(const InodePtr& inode, const wire::Attr& attr, uint64_t change_count) {
  const MutexLock lock(inode->mutex);
  // What is staged keeps its attributes, also while it is given up: it may be taken up again.
  if (!inode->staged && inode->change_count == change_count) {
    inode->attr = attr;
    inode->attr_deadline_ms = system_clock().now_ms() + kCacheMs;
    inode->access_deadline_ms = inode->attr_deadline_ms;
    inode->default_acl.reset();
  }
}

// Of a directory in which a name has changed.
void Vfs::forget_times(const InodePtr& inode) {
  const MutexLock lock(inode->mutex);
  inode->attr_deadline_ms = 0;
  inode->forgotten_ms = system_clock().now_ms();
  ++inode->change_count;
}

// Who may do what, and the group, do not change with the names in a directory.
void Vfs::with_access(const InodePtr& directory, AttrDone done) {
  std::optional<wire::Attr> known;
  {
    const MutexLock lock(directory->mutex);
    if (system_clock().now_ms() < directory->access_deadline_ms) {
      known = directory->attr;
    }
  }
  if (known) {
    done(std::move(*known));
  } else {
    with_attr(directory, std::move(done));
  }
}

void Vfs::forget_attr(const InodePtr& inode) {
  const MutexLock lock(inode->mutex);
  inode->attr_deadline_ms = 0;
  inode->access_deadline_ms = 0;
  inode->default_acl.reset();
  inode->forgotten_ms = system_clock().now_ms();
  ++inode->change_count;
}

void Vfs::with_attr(const InodePtr& inode, AttrDone done, Meant meant) {
  if (auto attr = known_attr(inode)) {
    done(std::move(*attr));
    return;
  }
  // Writes in place reach the agent first: it then knows the size and the times.
  wait_in_place(inode,
                [this, inode, meant, done = std::move(done)] { fetch_attr(inode, meant, done); });
}

// Of what was removed while it is open, or is a program's directory, and the agent has no handle
// of: fifos, and what was opened with O_PATH.
Result<wire::Attr> Vfs::last_attr(Inode& inode) {
  const MutexLock lock(inode.mutex);
  // A file that was never there after all: the kernel looks for its name again.
  if (inode.attr.mode == 0 || (S_ISREG(inode.attr.mode) && inode.attr.nlink > 0)) {
    return fail_os(ESTALE, "no name");
  }
  inode.attr.nlink = 0;
  if (S_ISDIR(inode.attr.mode)) {
    inode.attr.size = 0;
  }
  return inode.attr;
}

// Somebody else has removed the file, or has put another in its place.
bool Vfs::is_elsewhere(Inode& inode, const Result<wire::Attr>& named) {
  const MutexLock lock(inode.mutex);
  if (inode.staged || !S_ISREG(inode.attr.mode)) {
    return false;
  }
  return named ? identity_of(*named) != identity_of(inode.attr) : errno_of(named.error()) == ENOENT;
}

void Vfs::fetch_attr(const InodePtr& inode, Meant meant, AttrDone done) {
  uint64_t change_count = 0;
  {
    const MutexLock lock(inode->mutex);
    change_count = inode->change_count;
  }
  const auto target = target_of(inode);
  if (!target) {
    done(last_attr(*inode));
    return;
  }
  client::call(
      agent_, wire::GetAttr{*target},
      [this, inode, meant, target, change_count, done = std::move(done)](Result<wire::Attr> attr) {
        const bool by_name = target->handle == 0;
        const auto path = by_name ? inodes_.path(*inode) : std::nullopt;
        if (path && *path != target->path) {
          fetch_attr(inode, meant, done);  // a directory above it was renamed meanwhile
          return;
        }
        if (by_name && is_elsewhere(*inode, attr)) {
          fetch_elsewhere(inode, meant, std::move(attr), done);
          return;
        }
        if (attr) {
          remember_attr(inode, *attr, change_count);
        }
        done(std::move(attr));
      });
}

// `named` is not remembered, and neither is what the handle says: who looks for the name does not
// mean this file. It may be this mount's own commit, too, whose end comes in a moment.
void Vfs::fetch_elsewhere(const InodePtr& inode, Meant meant, Result<wire::Attr> named,
                          const AttrDone& done) {
  const auto opened = meant == Meant::file ? opened_target(inode, false) : std::nullopt;
  if (meant == Meant::name) {
    done(fail_os(ESTALE, "another file"));
  } else if (!opened) {
    done(std::move(named));
  } else {
    client::call(agent_, wire::GetAttr{*opened},
                 [named = std::move(named), done](const Result<wire::Attr>& held) {
                   done(held ? held : named);  // else it was closed meanwhile
                 });
  }
}

void Vfs::lookup(const Reply& reply, uint64_t parent_id, std::string_view name) {
  const InodePtr parent = find_inode(reply, parent_id);
  if (!parent) {
    return;
  }
  if (wire::is_staging_name(name)) {
    reply.error(ENOENT);
    return;
  }
  if (!find_path(reply, parent, name)) {
    return;
  }
  if (pending_unlinks_.contains(*parent, name)) {
    reply.error(ENOENT);  // not remembered by the kernel: it may be another's next moment
    return;
  }
  const InodePtr known = inodes_.find(*parent, name);
  if (!known) {
    lookup_remote(reply, parent, std::string(name), nullptr);
    return;
  }
  bool staged = false;
  {
    const MutexLock lock(known->mutex);
    staged = known->staged.has_value();
  }
  // Who holds locks beside it looks for what others did (a database's journal): the agent is asked.
  if (auto attr = locks_.is_near(parent->id, name) && !staged ? std::nullopt : known_attr(known)) {
    inodes_.add_lookup(known);
    if (!reply.entry(entry_of(*known, *attr))) {
      inodes_.forget(known->id, 1);
    }
    return;
  }
  // The kernel takes the size from here: an old one would cut off what is being written.
  wait_in_place(known, [this, reply, parent, name = std::string(name), known] {
    lookup_remote(reply, parent, name, known);
  });
}

// `known` is the inode that had the name so far.
void Vfs::lookup_remote(const Reply& reply, const InodePtr& parent, const std::string& name,
                        const InodePtr& known) {
  const auto path = find_path(reply, parent, name);
  if (!path) {
    return;
  }
  uint64_t change_count = 0;
  if (known) {
    const MutexLock lock(known->mutex);
    change_count = known->change_count;
  }
  const bool near = locks_.is_near(parent->id, name);
  client::call(agent_, wire::GetAttr{wire::Target{0, *path}},
               [this, reply, parent, name, known, path = *path, change_count,
                near](const Result<wire::Attr>& attr) {
                 const auto path_now = inodes_.path(*parent, name);
                 if (path_now && *path_now != path) {  // a directory above it was renamed
                   lookup_remote(reply, parent, name, known);
                   return;
                 }
                 if (attr) {
                   const InodePtr inode = inodes_.intern(parent, name, *attr);
                   remember_attr(inode, *attr, change_count);
                   const auto shown = known_attr(inode);
                   if (!reply.entry(entry_of(*inode, shown ? *shown : *attr))) {
                     inodes_.forget(inode->id, 1);
                   }
                   return;
                 }
                 if (errno_of(attr.error()) == ENOENT) {
                   inodes_.remove_name(*parent, name);
                   fuse_entry_param none{};
                   none.entry_timeout = near ? 0 : kCacheSeconds;
                   static_cast<void>(reply.entry(none));  // no lookup to take back
                   return;
                 }
                 reply.error(attr.error());
               });
}

void Vfs::reply_entry(const Reply& reply, const InodePtr& parent, const std::string& name,
                      const wire::Attr& attr) {
  remote_clock_.observe(attr.ctime);  // of something new
  const InodePtr inode = inodes_.intern(parent, name, attr);
  {
    const MutexLock lock(inode->mutex);
    inode->attr = attr;
    inode->attr_deadline_ms = system_clock().now_ms() + kCacheMs;
  }
  if (!reply.entry(entry_of(*inode, attr))) {
    inodes_.forget(inode->id, 1);
  }
}

void Vfs::reply_attr(const Reply& reply, const InodePtr& inode, const wire::Attr& attr) {
  reply.attr(shown_stat(*inode, attr), kCacheSeconds);
}

void Vfs::getattr(const Reply& reply, uint64_t id) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  with_attr(inode, [this, reply, inode](const Result<wire::Attr>& attr) {
    if (attr) {
      reply_attr(reply, inode, *attr);
    } else {
      reply.error(attr.error());
    }
  });
}

void Vfs::access(const Reply& reply, uint64_t id, int mask) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  with_attr(inode, [reply, mask](const Result<wire::Attr>& attr) {
    if (!attr) {
      reply.error(attr.error());
    } else if ((mask & W_OK) != 0 && (attr->access & wire::kReadOnlyFilesystem) != 0) {
      reply.error(EROFS);
    } else if ((mask & W_OK) != 0 && (attr->access & wire::kImmutable) != 0) {
      reply.error(EPERM);
    } else {
      const auto wanted = static_cast<unsigned>(mask) & 7U;
      reply.error((attr->access & wanted) == wanted ? 0 : EACCES);
    }
  });
}

void Vfs::readlink(const Reply& reply, uint64_t id) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  const auto path = inodes_.path(*inode);
  if (!path) {
    reply.error(ENOENT);
    return;
  }
  client::call(agent_, wire::ReadLink{*path},
               [reply](const Result<wire::ReadLink::Answer>& answer) {
                 if (!answer) {
                   reply.error(answer.error());
                 } else if (answer->text.find('\0') != std::string::npos) {
                   reply.error(EIO);
                 } else {
                   reply.readlink(answer->text);
                 }
               });
}

void Vfs::statfs(const Reply& reply, uint64_t id) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  // A file that is only staged lies in its directory's filesystem.
  const InodePtr parent = inodes_.parent(*inode);
  const auto path = inodes_.path(parent ? *parent : *inode);
  client::call(agent_, wire::StatFs{path.value_or("")},
               [reply](const Result<wire::StatFs::Answer>& answer) {
                 if (!answer) {
                   reply.error(answer.error());
                   return;
                 }
                 struct statvfs out {};
                 out.f_bsize = answer->block_size;
                 out.f_frsize = answer->fragment_size;
                 out.f_blocks = answer->blocks;
                 out.f_bfree = answer->blocks_free;
                 out.f_bavail = answer->blocks_available;
                 out.f_files = answer->files;
                 out.f_ffree = answer->files_free;
                 out.f_favail = answer->files_free;
                 out.f_namemax = answer->name_max;
                 reply.statfs(out);
               });
}

}  // namespace cpaway::fs
