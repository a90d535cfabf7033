// Changes of attributes: of a file that is staged for its commit, of others at the agent.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>
#include <utility>

#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// What commit will set, and what is shown until then.
void keep_for_commit(wire::SetAttr& kept, wire::Attr& shown, const wire::SetAttr& change,
                     const wire::Time& now) {
  if (change.size) {
    kept.mtime.reset();
    kept.mtime_now = false;
    shown.mtime = now;
  }
  if (change.mode) {
    kept.mode = change.mode;
    shown.mode = (shown.mode & static_cast<uint32_t>(S_IFMT)) | *change.mode;
  }
  if (change.uid) {
    kept.uid = change.uid;
    shown.uid = *change.uid;
  }
  if (change.gid) {
    kept.gid = change.gid;
    shown.gid = *change.gid;
  }
  if (change.atime || change.atime_now) {
    kept.atime = change.atime;
    kept.atime_now = change.atime_now;
    shown.atime = change.atime.value_or(now);
  }
  if (change.mtime || change.mtime_now) {
    kept.mtime = change.mtime;
    kept.mtime_now = change.mtime_now;
    shown.mtime = change.mtime.value_or(now);
  }
  shown.ctime = now;
}

}  // namespace

void Vfs::setattr(const Reply& reply, uint64_t id, const struct stat& attr, int to_set,
                  bool is_open) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  wire::SetAttr change;
  if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
    change.mode = attr.st_mode & 07777U;
  }
  if ((to_set & FUSE_SET_ATTR_UID) != 0) {
    change.uid = map_.uid_to_remote(attr.st_uid);
  }
  if ((to_set & FUSE_SET_ATTR_GID) != 0) {
    change.gid = map_.gid_to_remote(attr.st_gid);
  }
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
    change.size = static_cast<uint64_t>(attr.st_size);
  }
  change.atime_now = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0;
  change.mtime_now = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0;
  if ((to_set & FUSE_SET_ATTR_ATIME) != 0 && !change.atime_now) {
    change.atime = from_timespec(attr.st_atim);
  }
  if ((to_set & FUSE_SET_ATTR_MTIME) != 0 && !change.mtime_now) {
    change.mtime = from_timespec(attr.st_mtim);
  }
  // Where it is a directory: its times and mode come after them.
  pending_unlinks_.flush(*inode);
  {
    const MutexLock lock(inode->mutex);
    if (change.atime || change.mtime || change.atime_now || change.mtime_now) {
      inode->names_changed.reset();
    }
  }
  when_settled(inode, [this, reply, inode, change, is_open](const StagedUse& use) {
    bool local = false;
    bool refused = false;
    {
      const MutexLock lock(inode->mutex);
      local = is_local(inode->staged);
      refused = local && change.size && !is_open && (inode->attr.access & wire::kMayWrite) == 0;
    }
    if (refused) {
      reply.error(EACCES);
    } else if (local) {
      setattr_staged(reply, inode, change, use);
    } else if (!reply.answered()) {  // else it may have been meant for what was given up
      setattr_remote(reply, inode, change, is_open);
    }
  });
}

void Vfs::setattr_staged(const Reply& reply, const InodePtr& inode, const wire::SetAttr& change,
                         const StagedUse& use) {
  const std::shared_ptr<upload::Upload> upload = staged_upload(inode);
  if (!upload) {  // given up meanwhile
    if (!reply.answered()) {
      setattr_remote(reply, inode, change, false);
    }
    return;
  }
  if (gives_away(*inode, change)) {
    reply.error(EPERM);
    return;
  }
  if (takes_group(*inode, change)) {
    upload->try_group(*change.gid, [this, reply, inode, change, upload, use](const Status& tried) {
      if (tried) {
        reply_attr(reply, inode, keep_change(*inode, change, upload->size()));
      } else {
        reply.error(tried.error());
      }
    });
    return;
  }
  if (!change.size) {
    reply_attr(reply, inode, keep_change(*inode, change, upload->size()));
    return;
  }
  // First, since it may fail: then nothing has changed.
  upload->truncate(*change.size, [this, reply, inode, change, use](const Status& status) {
    if (status) {
      note_truncated(inode);
      reply_attr(reply, inode, keep_change(*inode, change, *change.size));
    } else {
      reply.error(status.error());
    }
  });
}

// It is what the program wants of it, and not a part of what somebody else may have made of it.
void Vfs::note_truncated(const InodePtr& inode) {
  const MutexLock lock(inode->mutex);
  if (inode->staged && inode->staged->placement.join != wire::kJoinNot) {
    inode->staged->placement.join = wire::kJoinEmptied;
  }
}

// Only root may; the commit would fail.
bool Vfs::gives_away(Inode& inode, const wire::SetAttr& change) const {
  const MutexLock lock(inode.mutex);
  return map_.remote_uid() != 0 && change.uid && *change.uid != inode.attr.uid;
}

// Its owner may if it is one of his groups, which the agent knows.
bool Vfs::takes_group(Inode& inode, const wire::SetAttr& change) const {
  const MutexLock lock(inode.mutex);
  return map_.remote_uid() != 0 && change.gid && *change.gid != inode.attr.gid &&
         *change.gid != map_.remote_gid();
}

// Gives the attributes to show.
wire::Attr Vfs::keep_change(Inode& inode, const wire::SetAttr& change, uint64_t size) {
  const MutexLock lock(inode.mutex);
  if (inode.staged) {
    keep_for_commit(inode.staged->placement.attr, inode.attr, change, remote_clock_.now());
    inode.staged->changed = true;
    if (change.mode) {
      inode.attr.access = map_.access_of_own(*change.mode);
      for (wire::Xattr& xattr : inode.staged->placement.xattrs) {
        if (xattr.name == kAccessAcl) {
          xattr.value = with_permissions(xattr.value, *change.mode);
        }
      }
    }
    ++inode.change_count;
  }
  wire::Attr shown = inode.attr;
  shown.size = size;
  return shown;
}

void Vfs::hold_for_mode(const InodePtr& inode, const std::optional<uint32_t>& mode) {
  if (mode && !map_.may_open_own(*mode)) {
    hold_open(inode);
  }
}

bool Vfs::closes(uint32_t mode) const {
  constexpr uint32_t kUsed = S_IWUSR | S_IXUSR;
  return map_.remote_uid() != 0 && (mode & kUsed) != kUsed;
}

std::vector<InodePtr> Vfs::open_below(const InodePtr& directory) const {
  std::set<InodePtr> open;
  for (const auto& file : files_.all()) {
    open.insert(file->inode);
  }
  std::vector<InodePtr> below;
  for (const InodePtr& inode : open) {
    const auto path = inodes_.path(*inode);
    if (path && is_below(*path, *directory)) {
      below.push_back(inode);
    }
  }
  return below;
}

void Vfs::bring_in(const InodePtr& directory, StatusDone done) {
  std::vector<InodePtr> open = open_below(directory);
  std::vector<InodePtr> files;
  std::copy_if(open.begin(), open.end(), std::back_inserter(files), [](const InodePtr& inode) {
    const MutexLock lock(inode->mutex);
    return inode->staged &&
           std::none_of(inode->open_files.begin(), inode->open_files.end(), [](const auto& weak) {
             const auto file = weak.lock();
             return file && file->is_copy;
           });
  });
  commit_all(std::move(files), [this, open = std::move(open),
                                done = std::move(done)](const Status& committed) {
    some_out_of_reach_ = true;
    for (const InodePtr& inode : open) {
      hold_open(inode);
      const MutexLock lock(inode->mutex);
      inode->out_of_reach = inode->open_handles > 0 && !(inode->staged && inode->staged->is_new);
    }
    done(committed);
  });
}

// A directory is open to the login user again, but perhaps not all of those above or below it.
void Vfs::bring_back(const InodePtr& directory) {
  bool some = false;
  for (const InodePtr& file : open_below(directory)) {
    bool is_closed = false;
    for (InodePtr above = inodes_.parent(*file); above && !is_closed;
         above = inodes_.parent(*above)) {
      const MutexLock lock(above->mutex);
      is_closed = S_ISDIR(above->attr.mode) && closes(above->attr.mode);
    }
    const MutexLock lock(file->mutex);
    file->out_of_reach = file->out_of_reach && is_closed;
    some = some || file->out_of_reach;
  }
  if (!some && inodes_.parent(*directory) == nullptr) {
    some_out_of_reach_ = false;
  }
}

void Vfs::setattr_remote(const Reply& reply, const InodePtr& inode, const wire::SetAttr& change,
                         bool is_open) {
  bool is_ours = false;  // nobody else may change it
  {
    const MutexLock lock(inode->mutex);
    is_ours = S_ISDIR(inode->attr.mode) && inode->attr.uid == map_.remote_uid();
  }
  if (!is_ours || !change.mode || !closes(*change.mode)) {
    send_setattr(reply, inode, change, is_open);
    return;
  }
  bring_in(inode, [this, reply, inode, change](const Status& committed) {
    if (committed) {
      send_setattr(reply, inode, change, false);
    } else {
      reply.error(committed.error());
    }
  });
}

void Vfs::send_setattr(const Reply& reply, const InodePtr& inode, const wire::SetAttr& change,
                       bool is_open) {
  wait_in_place(inode, [this, reply, inode, change, is_open] {
    hold_for_mode(inode, change.mode);
    auto target = target_of(inode);
    if (change.size && is_open) {
      if (const auto handle = writer_handle(inode)) {
        target = wire::Target{*handle, {}};
      }
    }
    if (!target) {
      auto last = last_attr(*inode);
      if (last) {
        wire::SetAttr kept;
        const MutexLock lock(inode->mutex);
        keep_for_commit(kept, inode->attr, change, remote_clock_.now());
        *last = inode->attr;
      }
      if (last) {
        reply_attr(reply, inode, *last);
      } else {
        reply.error(last.error());
      }
      return;
    }
    wire::Attr before;
    {
      const MutexLock lock(inode->mutex);
      before = inode->attr;
      if (change.size && inode->writer) {
        inode->writer->set_known_size(*change.size);
      }
    }
    forget_attr(inode);
    client::call(agent_, wire::SetAttrRequest{*target, change},
                 [this, reply, inode, before,
                  path = inodes_.path(*inode).value_or("")](const Result<wire::Attr>& attr) {
                   if (!attr) {
                     reply.error(attr.error());
                     return;
                   }
                   // Else somebody else has put another file in its place.
                   const bool is_same = identity_of(*attr) == identity_of(before);
                   if (S_ISREG(attr->mode) && is_same && attr->size == before.size) {
                     journal_.rekey(upload::key_of(before), {upload::key_of(*attr), path});
                   }
                   {
                     const MutexLock lock(inode->mutex);
                     ++inode->change_count;
                     if (!inode->staged && is_same) {
                       inode->attr = *attr;
                       inode->attr_deadline_ms = system_clock().now_ms() + kCacheMs;
                     }
                   }
                   remote_clock_.observe(attr->ctime);
                   if (some_out_of_reach_ && S_ISDIR(attr->mode) && !closes(attr->mode)) {
                     bring_back(inode);
                   }
                   reply_attr(reply, inode, *attr);
                 });
  });
}

}  // namespace cpaway::fs
