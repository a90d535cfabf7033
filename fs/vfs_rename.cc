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
  struct One {
    InodePtr inode;
    std::shared_ptr<upload::Upload> upload;
    StagedUse use;
    bool held = false;
  };

  explicit HeldUploads(Vfs& vfs) : vfs_(vfs) {}
  ~HeldUploads() {
    for (const One& one : all) {
      if (one.held) {
        vfs_.release_upload(one.inode, *one.upload);
      }
    }
  }
  HeldUploads(const HeldUploads&) = delete;
  HeldUploads& operator=(const HeldUploads&) = delete;

  [[nodiscard]] bool has(const InodePtr& inode) const {
    return std::any_of(all.begin(), all.end(),
                       [&inode](const One& one) { return one.inode == inode; });
  }

  std::vector<One> all;  // one thread at a time: the one that goes on with the rename

 private:
  Vfs& vfs_;
};

bool Vfs::RenameJob::exchanges() const {
  return (flags & RENAME_EXCHANGE) != 0;
}

// A file that is being written is committed under its old name first; what it replaces, if that is
// being written too, lives on without a name until its last close, and is not committed before that
// is decided. What is being written below a directory waits for a moment, and moves with it.
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
  RenameJob job{reply, from, std::string(name), to, std::string(new_name), flags, {}, 0, {},
                {},    {}};
  const InodePtr source = inodes_.find(*from, name);
  const InodePtr target = inodes_.find(*to, new_name);
  std::vector<InodePtr> files;
  for (const InodePtr& moved : {source, job.exchanges() ? target : nullptr}) {
    if (is_directory(moved)) {
      job.trees.push_back(moved);
    } else if (moved) {
      files.push_back(moved);
    }
  }
  commit_all(std::move(files), [this, job, target](const Status& committed) {
    if (!committed) {
      job.reply.error(committed.error());
    } else if (job.exchanges() || !target) {
      hold_trees(job);
    } else if (is_directory(target)) {
      hide_left(*target, [this, job] { hold_trees(job); });
    } else {
      when_settled(target, [this, job](const StagedUse& use) {
        RenameJob settled = job;
        settled.target_use = use;
        hold_trees(settled);
      });
    }
  });
}

std::vector<InodePtr> Vfs::all_staged() const {
  std::vector<InodePtr> all;
  for (const uint64_t id : staged_inodes_.all()) {
    if (InodePtr inode = inodes_.find(id)) {
      all.push_back(std::move(inode));
    }
  }
  return all;
}

std::vector<InodePtr> Vfs::staged_below(const std::vector<InodePtr>& trees) const {
  std::vector<InodePtr> below;
  const std::vector<InodePtr> staged = all_staged();
  for (const InodePtr& tree : trees) {
    for (const InodePtr& inode : staged) {
      {
        const MutexLock lock(inode->mutex);
        if (!inode->staged) {
          continue;
        }
      }
      const auto one = inodes_.path(*inode);
      if (one && is_below(*one, *tree)) {
        below.push_back(inode);
      }
    }
  }
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

// Once nothing that is written below is left out, commits wait, too. Where something new has come
// until then it begins anew, holding nothing: who holds one upload must not wait for another.
void Vfs::hold_trees(RenameJob job) {
  constexpr int kMaxRounds = 10;  // what is created all the time is told afterwards where it is
  if (job.trees.empty()) {
    rename_settled(job);
    return;
  }
  if (job.held) {
    job.barrier = begin_tree_rename(job.trees);
  }
  std::vector<InodePtr> below = staged_below(job.trees);
  const bool complete = job.held && std::all_of(below.begin(), below.end(), [&](const auto& one) {
                          return job.held->has(one);
                        });
  if (complete || (job.held && job.rounds >= kMaxRounds)) {
    rename_settled(job);
    return;
  }
  ++job.rounds;
  job.barrier = nullptr;
  job.held = std::make_shared<HeldUploads>(*this);
  use_all(std::move(below), job.held,
          [this, job] { hold_all(job.held, 0, [this, job] { hold_trees(job); }); });
}

// Holds off their commits; those under way end first. In the order of their numbers, as in
// hold_all, so that two renames never wait for each other.
void Vfs::use_all(std::vector<InodePtr> files, std::shared_ptr<HeldUploads> held, Job done) {
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
    if (auto upload = staged_upload(file)) {
      held->all.push_back({file, std::move(upload), use, false});
    }
    use_all(files, held, done);
  });
}

void Vfs::hold_all(std::shared_ptr<HeldUploads> held, size_t first, const Job& done) {
  if (first == held->all.size()) {
    done();
    return;
  }
  const auto upload = held->all[first].upload;
  upload->hold([held = std::move(held), first, done] {
    held->all[first].held = true;
    hold_all(held, first + 1, done);
  });
}

bool Vfs::is_below(const std::string& path, const Inode& tree) const {
  const auto top = inodes_.path(tree);
  return top && (top->empty() || path.starts_with(*top + "/"));
}

std::shared_ptr<const void> Vfs::begin_tree_rename(const std::vector<InodePtr>& trees) {
  {
    const MutexLock lock(tree_mutex_);
    renamed_trees_.insert(renamed_trees_.end(), trees.begin(), trees.end());
  }
  return {static_cast<const void*>(this),
          [this, trees](const void* /*self*/) { end_tree_rename(trees); }};
}

void Vfs::end_tree_rename(const std::vector<InodePtr>& trees) {
  std::vector<Job> jobs;
  {
    const MutexLock lock(tree_mutex_);
    for (const InodePtr& tree : trees) {
      renamed_trees_.erase(std::find(renamed_trees_.begin(), renamed_trees_.end(), tree));
    }
    jobs.swap(after_tree_rename_);  // who has to wait for another comes back
  }
  for (const Job& job : jobs) {
    job();
  }
}

void Vfs::release_upload(const InodePtr& inode, upload::Upload& upload) {
  const auto path = inodes_.path(*inode);
  if (path) {
    transfers_.moved(upload, *path);
  }
  upload.release(path);  // one that has lost its name meanwhile stays where it is
}

// What has come in between, and is not held.
void Vfs::tell_moved(const RenameJob& job) {
  for (const InodePtr& inode : staged_below(job.trees)) {
    const auto upload = staged_upload(inode);
    const auto path = inodes_.path(*inode);
    if (upload && path && !job.held->has(inode)) {
      transfers_.moved(*upload, *path);
      upload->moved(*path);
    }
  }
}

void Vfs::rename_settled(const RenameJob& job) {
  const InodePtr source = inodes_.find(*job.from, job.name);
  const InodePtr target = inodes_.find(*job.to, job.new_name);
  if (target && !job.exchanges()) {
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
  }
  rename_remote(job, source, target);
}

void Vfs::rename_remote(const RenameJob& job, const InodePtr& source, const InodePtr& target) {
  const auto old_path = find_path(job.reply, job.from, job.name);
  const auto new_path = old_path ? find_path(job.reply, job.to, job.new_name) : std::nullopt;
  if (!new_path) {
    return;
  }
  client::call(agent_, wire::Rename{*old_path, *new_path, job.flags},
               [this, job, new_path, target, source](const Result<wire::Empty>& answer) {
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
                   if (!job.exchanges()) {
                     lose_to_rename(job.to, target);
                   }
                 }
                 inodes_.rename(job.from, job.name, job.to, job.new_name, job.exchanges());
                 tell_moved(job);
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
      target->attr.ctime = remote_clock_.now();
    } else if (gone) {
      target->attr.nlink = 0;
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
