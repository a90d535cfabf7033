// Removing names, at once or when a copying program has put the next version in their place.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "engine/base/log.h"
#include "fs/attr_map.h"
#include "fs/caller.h"
#include "fs/vfs.h"

namespace cpaway::fs {

bool Vfs::is_copying(pid_t caller) const {
  const std::string name = program_name(caller);
  return std::find(options_.copying_programs.begin(), options_.copying_programs.end(), name) !=
         options_.copying_programs.end();
}

void Vfs::unlink(const Reply& reply, uint64_t parent_id, std::string_view name, bool copying) {
  const InodePtr parent = find_inode(reply, parent_id);
  if (!parent) {
    return;
  }
  const InodePtr inode = inodes_.find(*parent, name);
  if (!inode) {
    unlink_remote(reply, parent, std::string(name), nullptr, nullptr);
    return;
  }
  when_settled(
      inode, [this, reply, parent, inode, copying, name = std::string(name)](const StagedUse& use) {
        bool staged = false;
        bool local_only = false;
        bool was_read = false;
        {
          const MutexLock lock(inode->mutex);
          was_read = inode->last_reader == reply.caller();
          staged = inode->staged.has_value();
          local_only = staged && inode->staged->is_new;
          if (local_only) {
            lose_name(*inode, *parent);
          }
          ++inode->change_count;
        }
        if (local_only) {
          inodes_.remove_name(*parent, name);
          forget_times(parent);
          note_new_names(*parent);
          reply.ok();
        } else if (!staged && !was_read && copying) {
          unlink_known(reply, parent, inode, name);
        } else {
          unlink_remote(reply, parent, name, inode, use);
        }
      });
}

// Of a file that may be staged: it lives on until its last close.
void Vfs::lose_name(Inode& inode, const Inode& parent) {
  inode.attr.nlink -= inode.attr.nlink > 0 ? 1 : 0;
  if (inode.staged) {
    inode.staged->unlinked = true;
    inode.staged->left_in = parent.id;
    inode.staged->upload->set_nameless();
    inode.attr.ctime = remote_clock_.now();
  }
}

void Vfs::unlink_known(const Reply& reply, const InodePtr& parent, const InodePtr& inode,
                       const std::string& name) {
  with_attr(parent, [this, reply, parent, inode, name](const Result<wire::Attr>& parent_attr) {
    with_attr(inode,
              [this, reply, parent, inode, name, parent_attr](const Result<wire::Attr>& attr) {
                if (reply.answered()) {
                  return;  // killed meanwhile: the old file stays
                }
                if (parent_attr && attr && may_delay(*parent_attr, *attr)) {
                  delay_unlink(reply, parent, inode, name, *attr);
                } else {
                  unlink_remote(reply, parent, name, inode, nullptr);
                }
              });
  });
}

// True for a file whose unlink the agent would carry out without an error.
bool Vfs::may_delay(const wire::Attr& parent, const wire::Attr& attr) const {
  constexpr uint8_t kNeeded = wire::kMayWrite | wire::kMayExecute;
  constexpr uint8_t kForbidding = wire::kImmutable | wire::kAppendOnly;
  const uint32_t user = map_.remote_uid();
  const bool sticky =
      (parent.mode & S_ISVTX) != 0 && user != 0 && user != parent.uid && user != attr.uid;
  return S_ISREG(attr.mode) && attr.nlink == 1 && (parent.access & kNeeded) == kNeeded &&
         (parent.access & wire::kReadOnlyFilesystem) == 0 &&
         ((parent.access | attr.access) & kForbidding) == 0 && !sticky;
}

void Vfs::delay_unlink(const Reply& reply, const InodePtr& parent, const InodePtr& inode,
                       const std::string& name, const wire::Attr& attr) {
  hold_open(inode);
  pending_unlinks_.add({parent, name, inode, upload::key_of(attr), reply.caller()});
  inodes_.remove_name(*parent, name);
  inodes_.set_key(inode, std::nullopt);
  {
    const MutexLock lock(inode->mutex);
    inode->attr_deadline_ms = 0;
    inode->unlink_pends = true;
  }
  forget_times(parent);
  note_new_names(*parent);
  reply.ok();
}

void Vfs::carry_out(const PendingUnlink& pending) {
  const auto path = inodes_.path(*pending.parent, pending.name);
  if (!path) {
    return;  // its directory has gone
  }
  client::call(agent_, wire::Unlink{*path},
               [this, parent = pending.parent, path = *path](const Result<wire::Empty>& answer) {
                 forget_times(parent);
                 if (!answer && answer.error().os_errno != ENOENT) {
                   log::error("unlink ", path, ": ", answer.error().to_string());
                 }
               });
}

// It has its name again.
void Vfs::forget_unlink(Inode& inode) {
  {
    const MutexLock lock(inode.mutex);
    inode.unlink_pends = false;
  }
  notifier_.invalidate_inode(inode.id, false);
}

void Vfs::give_back(const PendingUnlink& pending) {
  forget_unlink(*pending.inode);
  forget_times(pending.parent);
  notifier_.invalidate_entry(pending.parent->id, pending.name);
}

void Vfs::unlink_remote(const Reply& reply, const InodePtr& parent, const std::string& name,
                        const InodePtr& inode, const StagedUse& use) {
  const auto path = find_path(reply, parent, name);
  if (!path) {
    return;
  }
  if (pending_unlinks_.contains(*parent, name)) {
    reply.error(ENOENT);
    return;
  }
  if (inode) {
    hold_open(inode);
  }
  // Nothing is committed before it is known whether the name is still there: `use`.
  client::call(agent_, wire::Unlink{*path},
               [this, reply, parent, name, inode, use](const Result<wire::Empty>& answer) {
                 forget_times(parent);
                 bool gone = false;
                 if (answer) {
                   inodes_.remove_name(*parent, name);
                 }
                 if (inode) {
                   const MutexLock lock(inode->mutex);
                   inode->attr_deadline_ms = 0;
                   if (answer) {
                     lose_name(*inode, *parent);
                     gone = inode->attr.nlink == 0;
                   }
                 }
                 if (gone) {
                   inodes_.set_key(inode, std::nullopt);
                 }
                 if (answer) {
                   reply.ok();
                 } else {
                   reply.error(answer.error());
                 }
               });
}

}  // namespace cpaway::fs
