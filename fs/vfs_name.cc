// Changes to directories.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "engine/base/log.h"
#include "fs/vfs.h"

namespace cpaway::fs {

// mknod, mkdir and symlink: the agent makes it and says what it made.
template <class Request>
void Vfs::make_entry(const Reply& reply, const InodePtr& parent, std::string_view name,
                     const Request& request) {
  pending_unlinks_.flush(*parent, name);
  client::call(agent_, request,
               [this, reply, parent, name = std::string(name)](const Result<wire::Attr>& attr) {
                 forget_times(parent);
                 if (attr) {
                   reply_entry(reply, parent, name, *attr);
                 } else {
                   reply.error(attr.error());
                 }
               });
}

// Who makes something owns it, where we can give it away.
std::optional<wire::Owner> Vfs::owner_of_new(const Reply& reply) const {
  const fuse_ctx& caller = reply.context();
  const wire::Owner owner{map_.uid_to_remote(caller.uid), map_.gid_to_remote(caller.gid)};
  const bool is_ours = owner.uid == map_.remote_uid() && owner.gid == map_.remote_gid();
  return map_.remote_uid() == 0 && !is_ours ? std::optional(owner) : std::nullopt;
}

void Vfs::mknod(const Reply& reply, uint64_t parent_id, std::string_view name, uint32_t mode,
                uint64_t rdev) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (path) {
    make_entry(reply, parent, name,
               wire::MkNod{*path, mode, rdev, owner_of_new(reply), reply.context().umask});
  }
}

void Vfs::mkdir(const Reply& reply, uint64_t parent_id, std::string_view name, uint32_t mode) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (path) {
    make_entry(reply, parent, name,
               wire::MkDir{*path, mode & 07777U, owner_of_new(reply), reply.context().umask});
  }
}

void Vfs::symlink(const Reply& reply, std::string_view text, uint64_t parent_id,
                  std::string_view name) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (path) {
    make_entry(reply, parent, name, wire::SymLink{std::string(text), *path, owner_of_new(reply)});
  }
}

// A file that is being written is committed first: a second name needs a first one.
void Vfs::link(const Reply& reply, uint64_t id, uint64_t parent_id, std::string_view name) {
  const InodePtr inode = find_inode(reply, id);
  const InodePtr parent = inode ? find_inode(reply, parent_id) : nullptr;
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (!path) {
    return;
  }
  pending_unlinks_.flush(*parent, name);
  commit(inode, false,
         [this, reply, inode, parent, path, name = std::string(name)](const Status& committed) {
           bool is_unlinked = false;
           {
             const MutexLock lock(inode->mutex);
             is_unlinked = inode->unlink_pends;
           }
           const auto target = is_unlinked ? std::nullopt : target_of(inode);
           if (!committed || !target) {
             reply.error(committed ? os_error(ENOENT, "link") : committed.error());
             return;
           }
           // What is being written in place first: the answer holds the size that the kernel keeps.
           wait_in_place(inode, [this, reply, inode, parent, name, target = *target, path] {
             client::call(agent_, wire::Link{target, *path},
                          [this, reply, inode, parent, name](const Result<wire::Attr>& attr) {
                            forget_attr(inode);
                            forget_times(parent);
                            if (attr) {
                              reply_entry(reply, parent, name, *attr);
                            } else {
                              reply.error(attr.error());
                            }
                          });
           });
         });
}

bool Vfs::holds_staged(const Inode& directory) const {
  const auto children = inodes_.children(directory);
  return std::any_of(children.begin(), children.end(), [](const auto& named) {
    const InodePtr& child = named.second;
    const MutexLock lock(child->mutex);
    return child->staged && child->staged->is_new && !child->staged->abandoned;
  });
}

void Vfs::rmdir(const Reply& reply, uint64_t parent_id, std::string_view name) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (!path) {
    return;
  }
  // Files that are only staged are in it as much as the agent's.
  if (const InodePtr inode = inodes_.find(*parent, name)) {
    pending_unlinks_.flush(*inode);
    if (holds_staged(*inode)) {
      reply.error(ENOTEMPTY);
      return;
    }
    hide_left(*inode, [this, reply, parent, name = std::string(name), path = *path] {
      rmdir_remote(reply, parent, name, path);
    });
  } else {
    rmdir_remote(reply, parent, std::string(name), *path);
  }
}

void Vfs::rmdir_remote(const Reply& reply, const InodePtr& parent, const std::string& name,
                       const std::string& path) {
  client::call(agent_, wire::RmDir{path},
               [this, reply, parent, name](const Result<wire::Empty>& answer) {
                 forget_times(parent);
                 if (answer) {
                   if (const InodePtr gone = inodes_.find(*parent, name)) {
                     inodes_.set_key(gone, std::nullopt);
                     forget_attr(gone);
                   }
                   inodes_.remove_name(*parent, name);
                   reply.ok();
                 } else {
                   reply.error(answer.error());
                 }
               });
}

// What was unlinked from it and is still being written: its staging file may be in the way.
void Vfs::hide_left(const Inode& directory, Job done) {
  std::vector<std::shared_ptr<upload::Upload>> left;
  for (const InodePtr& inode : all_staged()) {
    const MutexLock lock(inode->mutex);
    if (inode->staged && inode->staged->unlinked && inode->staged->left_in == directory.id) {
      left.push_back(inode->staged->upload);
    }
  }
  // Called when the last of them is: each holds a part of it.
  const std::shared_ptr<const void> all(nullptr, [done = std::move(done)](const void*) { done(); });
  for (const auto& upload : left) {
    upload->hide([all](const Status& status) {
      if (!status) {
        log::debug("hide: ", status.error().to_string());
      }
    });
  }
}

}  // namespace cpaway::fs
