// Changes to directories.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "engine/wire/names.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

bool is_directory(const InodePtr& inode) {
  if (!inode) {
    return false;
  }
  const MutexLock lock(inode->mutex);
  return S_ISDIR(inode->attr.mode);
}

}  // namespace

// mknod, mkdir and symlink: the agent makes it and says what it made.
template <class Request>
void Vfs::make_entry(const Reply& reply, const InodePtr& parent, std::string_view name,
                     const Request& request) {
  pending_unlinks_.flush(*parent, name);
  client::call(agent_, request,
               [this, reply, parent, name = std::string(name)](const Result<wire::Attr>& attr) {
                 forget_attr(parent);
                 if (attr) {
                   reply_entry(reply, parent, name, *attr);
                 } else {
                   reply.error(attr.error());
                 }
               });
}

void Vfs::mknod(const Reply& reply, uint64_t parent_id, std::string_view name, uint32_t mode,
                uint64_t rdev) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (path) {
    make_entry(reply, parent, name, wire::MkNod{*path, mode, rdev});
  }
}

void Vfs::mkdir(const Reply& reply, uint64_t parent_id, std::string_view name, uint32_t mode) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (path) {
    make_entry(reply, parent, name, wire::MkDir{*path, mode & 07777U});
  }
}

void Vfs::symlink(const Reply& reply, std::string_view text, uint64_t parent_id,
                  std::string_view name) {
  const InodePtr parent = find_inode(reply, parent_id);
  const auto path = parent ? find_path(reply, parent, name) : std::nullopt;
  if (path) {
    make_entry(reply, parent, name, wire::SymLink{std::string(text), *path});
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
           const auto target = target_of(inode);
           if (!committed || !target) {
             reply.error(committed ? os_error(ENOENT, "link") : committed.error());
             return;
           }
           // What is being written in place first: the answer holds the size that the kernel keeps.
           wait_in_place(inode, [this, reply, inode, parent, name, target = *target, path] {
             client::call(agent_, wire::Link{target, *path},
                          [this, reply, inode, parent, name](const Result<wire::Attr>& attr) {
                            forget_attr(inode);
                            forget_attr(parent);
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
  }
  client::call(agent_, wire::RmDir{*path},
               [this, reply, parent, name = std::string(name)](const Result<wire::Empty>& answer) {
                 forget_attr(parent);
                 if (answer) {
                   inodes_.remove_name(*parent, name);
                   reply.ok();
                 } else {
                   reply.error(answer.error());
                 }
               });
}

// A file that is being written is committed under its old name first; what it replaces, if that is
// being written too, lives on without a name until its last close.
void Vfs::rename(const Reply& reply, uint64_t from_id, std::string_view name, uint64_t to_id,
                 std::string_view new_name, unsigned flags) {
  const InodePtr from = find_inode(reply, from_id);
  const InodePtr to = from ? find_inode(reply, to_id) : nullptr;
  if (!to) {
    return;
  }
  if (wire::is_staging_name(new_name)) {
    reply.error(EPERM);
    return;
  }
  pending_unlinks_.flush();
  const auto go_on = [this, reply, from, to, name = std::string(name),
                      new_name = std::string(new_name), flags](const Status& committed) {
    if (!committed) {
      reply.error(committed.error());
    } else {
      rename_remote(reply, from, name, to, new_name, flags);
    }
  };
  const InodePtr source = inodes_.find(*from, name);
  const InodePtr target = inodes_.find(*to, new_name);
  const auto settle_target = [this, target, go_on, flags](const Status& committed) {
    if (!committed || !target) {
      go_on(committed);
    } else if ((flags & RENAME_EXCHANGE) != 0) {
      commit_below(is_directory(target) ? staged_below(*target) : std::vector{target}, go_on);
    } else {
      when_settled(target, [go_on](const StagedUse& /*use*/) { go_on({}); });
    }
  };
  if (is_directory(source)) {
    commit_below(staged_below(*source), settle_target);
  } else if (source) {
    commit(source, false, settle_target);
  } else {
    settle_target({});
  }
}

std::vector<InodePtr> Vfs::staged_below(const Inode& directory) const {
  const auto path = inodes_.path(directory);
  std::vector<InodePtr> below = inodes_.all();
  std::erase_if(below, [this, &path](const InodePtr& inode) {
    {
      const MutexLock lock(inode->mutex);
      if (!inode->staged) {
        return true;
      }
    }
    const auto one = inodes_.path(*inode);
    return !path || !one || !one->starts_with(*path + "/");
  });
  return below;
}

// An upload knows where its file is by the names of the directories above it.
void Vfs::commit_below(std::vector<InodePtr> files, StatusDone done) {
  if (files.empty()) {
    done({});
    return;
  }
  const InodePtr file = std::move(files.back());
  files.pop_back();
  commit(file, false,
         [this, files = std::move(files), done = std::move(done)](const Status& committed) {
           if (committed) {
             commit_below(files, done);
           } else {
             done(fail(committed.error()));
           }
         });
}

void Vfs::rename_remote(const Reply& reply, const InodePtr& from, const std::string& name,
                        const InodePtr& to, const std::string& new_name, unsigned flags) {
  const auto old_path = find_path(reply, from, name);
  const auto new_path = old_path ? find_path(reply, to, new_name) : std::nullopt;
  if (!new_path) {
    return;
  }
  const InodePtr target = inodes_.find(*to, new_name);
  const InodePtr source = inodes_.find(*from, name);
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (target && !exchange) {
    {
      const MutexLock lock(target->mutex);
      if (target->staged && target->staged->is_new && (flags & RENAME_NOREPLACE) != 0) {
        reply.error(EEXIST);
        return;
      }
    }
    if ((flags & RENAME_NOREPLACE) == 0 && holds_staged(*target) && is_directory(source)) {
      reply.error(ENOTEMPTY);
      return;
    }
    hold_open(target);
  }
  client::call(agent_, wire::Rename{*old_path, *new_path, flags},
               [this, reply, from, to, name, new_name, new_path, target, source,
                exchange](const Result<wire::Empty>& answer) {
                 forget_attr(from);
                 forget_attr(to);
                 if (!answer) {
                   reply.error(answer.error());
                   return;
                 }
                 if (source) {
                   rename_remote_file(source, *new_path);
                   forget_attr(source);
                 }
                 if (target && target != source && !exchange) {
                   forget_attr(target);
                   const MutexLock lock(target->mutex);
                   if (target->staged) {
                     target->staged->unlinked = true;
                     target->staged->upload->set_nameless();
                     target->attr.nlink = 0;
                   }
                 }
                 inodes_.rename(from, name, to, new_name, exchange);
                 reply.ok();
               });
}

// Renaming changes ctime: what the journal knows of the file must be found by the new one.
void Vfs::rename_remote_file(const InodePtr& source, const std::string& new_path) {
  wire::Attr before;
  {
    const MutexLock lock(source->mutex);
    before = source->attr;
  }
  if (!S_ISREG(before.mode)) {
    return;
  }
  client::call(agent_, wire::GetAttr{wire::Target{0, new_path}},
               [this, before, new_path](const Result<wire::Attr>& now) {
                 if (now && now->ino == before.ino && now->size == before.size) {
                   journal_.rekey(upload::key_of(before), {upload::key_of(*now), new_path});
                 }
               });
}

// Before a name goes: what is open keeps the file, so it must be open at the agent.
void Vfs::hold_open(const InodePtr& inode) {
  std::vector<std::shared_ptr<OpenFile>> files;
  bool writers = false;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged) {
      return;  // its content is in the staging file
    }
    for (const auto& weak : inode->open_files) {
      if (auto file = weak.lock()) {
        files.push_back(std::move(file));
      }
    }
    writers = inode->open_writers > 0;
  }
  for (const auto& file : files) {
    ignore(read_handle(*file), "without a name there is nothing to hold");
  }
  if (writers) {
    ignore(in_place_writer(inode), "without a name there is nothing to hold");
  }
}

}  // namespace cpaway::fs
