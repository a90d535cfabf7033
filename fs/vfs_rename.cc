// Renaming: what is being written keeps its place in the tree.
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

// Uploads that wait while a directory above them is renamed. They go on, from where they are then,
// when the last owner lets go.
class Vfs::HeldUploads {
 public:
  explicit HeldUploads(Vfs& vfs) : vfs_(vfs) {}
  ~HeldUploads() {
    for (const Held& one : held_) {
      vfs_.release_upload(one.inode, *one.upload);
    }
  }
  HeldUploads(const HeldUploads&) = delete;
  HeldUploads& operator=(const HeldUploads&) = delete;

  // One after the other: by the thread that hears that it waits.
  void add(InodePtr inode, std::shared_ptr<upload::Upload> upload, StagedUse use) {
    held_.push_back({std::move(inode), std::move(upload), std::move(use)});
  }

 private:
  struct Held {
    InodePtr inode;
    std::shared_ptr<upload::Upload> upload;
    StagedUse use;
  };
  Vfs& vfs_;
  std::vector<Held> held_;
};

// A file that is being written is committed under its old name first; what it replaces, if that is
// being written too, lives on without a name until its last close. What is being written below a
// directory waits for a moment, and moves with it.
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
  RenameJob job{reply, from, std::string(name), to, std::string(new_name), flags, nullptr};
  const InodePtr source = inodes_.find(*from, name);
  const InodePtr target = inodes_.find(*to, new_name);
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  std::vector<InodePtr> below;
  std::vector<InodePtr> files;
  for (const InodePtr& moved : {source, exchange ? target : nullptr}) {
    if (is_directory(moved)) {
      for (InodePtr& file : staged_below(*moved)) {
        below.push_back(std::move(file));
      }
    } else if (moved) {
      files.push_back(moved);
    }
  }
  commit_all(std::move(files), [this, job, target = exchange ? nullptr : target,
                                below = std::move(below)](const Status& committed) mutable {
    if (!committed) {
      job.reply.error(committed.error());
      return;
    }
    job.held = std::make_shared<HeldUploads>(*this);
    hold_all(below, job.held, [this, job, target] {
      if (target) {
        when_settled(target, [this, job](const StagedUse& /*use*/) { rename_settled(job); });
      } else {
        rename_settled(job);
      }
    });
  });
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

void Vfs::commit_all(std::vector<InodePtr> files, StatusDone done) {
  if (files.empty()) {
    done({});
    return;
  }
  const InodePtr file = std::move(files.back());
  files.pop_back();
  commit(file, false,
         [this, files = std::move(files), done = std::move(done)](const Status& committed) {
           if (committed) {
             commit_all(files, done);
           } else {
             done(fail(committed.error()));
           }
         });
}

// In the order of their numbers, so that two renames never wait for each other.
void Vfs::hold_all(std::vector<InodePtr> files, std::shared_ptr<HeldUploads> held, Job done) {
  if (files.empty()) {
    done();
    return;
  }
  const auto first =
      std::min_element(files.begin(), files.end(),
                       [](const InodePtr& a, const InodePtr& b) { return a->id < b->id; });
  const InodePtr file = *first;
  files.erase(first);
  when_settled(file, [this, file, files = std::move(files), held = std::move(held),
                      done = std::move(done)](const StagedUse& use) {
    const auto upload = staged_upload(file);
    if (!upload) {
      hold_all(files, held, done);
      return;
    }
    upload->hold([this, file, upload, use, files, held, done] {
      held->add(file, upload, use);
      hold_all(files, held, done);
    });
  });
}

void Vfs::release_upload(const InodePtr& inode, upload::Upload& upload) {
  const auto path = inodes_.path(*inode);
  if (path) {
    transfers_.moved(upload, *path);
  }
  upload.release(path);  // one that has lost its name meanwhile stays where it is
}

void Vfs::rename_settled(const RenameJob& job) {
  const InodePtr source = inodes_.find(*job.from, job.name);
  const InodePtr target = inodes_.find(*job.to, job.new_name);
  if (target && (job.flags & RENAME_EXCHANGE) == 0) {
    if ((job.flags & RENAME_NOREPLACE) != 0) {
      const MutexLock lock(target->mutex);
      if (target->staged && target->staged->is_new) {
        job.reply.error(EEXIST);
        return;
      }
    } else if (holds_staged(*target) && is_directory(source)) {
      job.reply.error(ENOTEMPTY);
      return;
    }
    hold_open(target);
    hide_left(*target, [this, job, source, target] { rename_remote(job, source, target); });
  } else {
    rename_remote(job, source, target);
  }
}

void Vfs::rename_remote(const RenameJob& job, const InodePtr& source, const InodePtr& target) {
  const auto old_path = find_path(job.reply, job.from, job.name);
  const auto new_path = old_path ? find_path(job.reply, job.to, job.new_name) : std::nullopt;
  if (!new_path) {
    return;
  }
  client::call(agent_, wire::Rename{*old_path, *new_path, job.flags},
               [this, job, new_path, target, source](const Result<wire::Empty>& answer) {
                 const bool exchange = (job.flags & RENAME_EXCHANGE) != 0;
                 forget_times(job.from);
                 forget_times(job.to);
                 if (!answer) {
                   job.reply.error(answer.error());
                   return;
                 }
                 if (source) {
                   rename_remote_file(source, *new_path);
                   forget_attr(source);
                 }
                 if (target && target != source) {
                   forget_attr(target);
                   if (!exchange) {
                     lose_to_rename(job.to, target);
                   }
                 }
                 inodes_.rename(job.from, job.name, job.to, job.new_name, exchange);
                 job.reply.ok();
               });
}

// Another file has taken its name.
void Vfs::lose_to_rename(const InodePtr& directory, const InodePtr& target) {
  bool gone = false;
  {
    const MutexLock lock(target->mutex);
    gone = S_ISDIR(target->attr.mode) || target->attr.nlink <= 1;
    if (target->staged) {
      target->staged->unlinked = true;
      target->staged->left_in = directory->id;
      target->staged->upload->set_nameless();
      target->attr.nlink = 0;
      target->attr.ctime = now_time();
    }
  }
  if (gone) {
    inodes_.set_key(target, std::nullopt);
  }
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

}  // namespace cpaway::fs
