// The end of a staged upload: flush, fsync, last close, kill, failure.
#include <algorithm>
#include <cerrno>

#include "engine/base/log.h"
#include "fs/caller.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// Times are set as the mount has shown them: what a program saw before close stays.
void set_times(wire::SetAttr& change, const wire::Attr& shown) {
  change.atime_now = false;
  change.mtime_now = false;
  change.atime = change.atime.value_or(shown.atime);
  change.mtime = change.mtime.value_or(shown.mtime);
}

}  // namespace

void Vfs::when_settled(const InodePtr& inode, SettledJob job) {
  StagedUse use;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged && inode->staged->committing) {
      inode->after_commit.emplace_back(
          [this, inode, job = std::move(job)] { when_settled(inode, job); });
      return;
    }
    if (inode->staged) {
      use = use_staged(inode);
    }
  }
  job(use);
}

StagedUse Vfs::use_staged(const InodePtr& inode) {
  const auto& upload = inode->staged->upload;
  ++inode->staged->uses;
  return {upload.get(), [this, inode, upload](const void* /*upload*/) { end_use(inode, upload); }};
}

void Vfs::end_use(const InodePtr& inode, const std::shared_ptr<upload::Upload>& upload) {
  Job commit;
  {
    const MutexLock lock(inode->mutex);
    if (!inode->staged || inode->staged->upload != upload || --inode->staged->uses > 0) {
      return;
    }
    commit = std::exchange(inode->staged->when_unused, nullptr);
  }
  if (commit) {
    commit();
  }
}

// Whoever closes or syncs what it has written wants it committed, whatever became of another
// program that had the file open. Not through the handle of that program: timeout(1) has dd's.
void Vfs::take_up_again(Staged& staged, const OpenFile* by) {
  if (staged.abandoned_by != by) {
    staged.abandoned = false;
  }
}

Closing Vfs::begin_closing(uint64_t handle, pid_t caller) {
  const auto file = files_.find(handle);
  if (!file || !file->writes) {
    return {};
  }
  bool staged = false;
  bool written = false;
  bool large = false;
  {
    const MutexLock lock(file->inode->mutex);
    staged = file->inode->staged.has_value();
    written = staged && file->inode->staged->upload->progress().written > 0;
    large = staged && file->inode->staged->upload->size() >= kLargeFile;
  }
  const bool uncached = large && is_copying(caller);
  Closing closing;
  closing.end = staged ? how_it_ends(caller) : ProgramEnd::none;
  const bool failed = closing.end == ProgramEnd::failed && file->is_copy;
  closing.gives_up =
      file->touched && (closing.end == ProgramEnd::killed || failed) && is_copying(caller);
  if (staged && !closing.gives_up && file->touched && !written) {
    closing.last = !has_open(caller, file->inode->shown_ino);
  }
  const MutexLock lock(file->inode->mutex);
  auto& upload = file->inode->staged;
  if (upload && uncached) {
    upload->uncached = true;
  }
  if (upload && closing.gives_up && !upload->committing) {
    upload->abandoned = true;
    upload->abandoned_by = file.get();
  } else if (upload && closing.end != ProgramEnd::killed && file->touched && closing.last) {
    take_up_again(*upload, file.get());
  }
  return closing;
}

void Vfs::flush(const Reply& reply, uint64_t handle, uint64_t lock_owner, const Closing& closing) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  file->may_be_refused = false;
  file->flushed_ms = system_clock().now_ms();
  const LockKey key{file->inode->id, wire::kPosixLock, lock_owner};
  flush_data(file, closing, [this, reply, key](const Status& status) {
    const auto answer = [reply, status] {
      if (status) {
        reply.ok();
      } else {
        reply.error(status.error());
      }
    };
    if (const LockOwnerPtr owner = locks_.take(key)) {
      release_locks({owner}, answer);
    } else {
      answer();
    }
  });
}

void Vfs::flush_data(const std::shared_ptr<OpenFile>& file, const Closing& closing,
                     StatusDone done) {
  const InodePtr& inode = file->inode;
  if (!file->writes) {
    done({});
    return;
  }
  bool staged = false;
  {
    const MutexLock lock(inode->mutex);
    staged = inode->staged.has_value();
  }
  if (!staged) {
    drain_in_place(inode, std::move(done));
    return;
  }
  if (closing.gives_up || !file->touched || !closing.last) {
    done({});
    return;
  }
  commit(inode, false, std::move(done));
}

// A staged file is committed, and on the disk; later writes to the handle go in place.
void Vfs::fsync(const Reply& reply, uint64_t handle, bool data_only) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  const InodePtr& inode = file->inode;
  bool staged = false;
  bool nameless = false;
  {
    const MutexLock lock(inode->mutex);
    nameless = inode->staged && inode->staged->unlinked;
    staged = inode->staged && !nameless;
    if (staged && file->touched) {
      take_up_again(*inode->staged, file.get());
    }
  }
  if (nameless) {
    reply.ok();  // nobody will find it after a crash
    return;
  }
  if (staged) {
    commit(inode, true, [reply](const Status& status) {
      if (status) {
        reply.ok();
      } else {
        reply.error(status.error());
      }
    });
    return;
  }
  drain_in_place(inode, [this, reply, file, data_only](const Status& drained) {
    const auto target = target_of(*file);
    if (!drained || !target) {
      if (drained) {
        reply.ok();  // without a name or a handle there is nothing left to sync
      } else {
        reply.error(drained.error());
      }
      return;
    }
    client::call(agent_, wire::FSync{*target, data_only},
                 [reply](const Result<wire::Empty>& answer) {
                   if (answer) {
                     reply.ok();
                   } else {
                     reply.error(answer.error());
                   }
                 });
  });
}

void Vfs::commit(const InodePtr& inode, bool durable, StatusDone done,
                 const upload::Upload* unused) {
  bool staged = false;
  {
    const MutexLock lock(inode->mutex);
    if (unused != nullptr && (!is_unused(*inode, unused) || inode->staged->committing)) {
      done({});  // what follows the commit in progress may be another program's
      return;
    }
    if (inode->staged && inode->staged->committing) {
      inode->after_commit.emplace_back(
          [this, inode, durable, done = std::move(done)] { commit(inode, durable, done); });
      return;
    }
    staged = inode->staged && !inode->staged->unlinked && !inode->staged->abandoned;
    if (staged) {
      // From now on every other operation waits; those under way come first, since a write may
      // have been answered already.
      inode->staged->committing = true;
      if (inode->staged->uses > 0) {
        inode->staged->when_unused = [this, inode, durable, done = std::move(done)] {
          start_commit(inode, durable, done);
        };
        return;
      }
    }
  }
  if (staged) {
    start_commit(inode, durable, std::move(done));
  } else {
    done({});
  }
}

void Vfs::start_commit(const InodePtr& inode, bool durable, StatusDone done) {
  {
    // While a directory gets another name nobody can say where the file is.
    const auto path = inodes_.path(*inode);
    const MutexLock lock(tree_mutex_);
    if (path && std::any_of(renamed_trees_.begin(), renamed_trees_.end(),
                            [&](const InodePtr& tree) { return is_below(*path, *tree); })) {
      after_tree_rename_.emplace_back(
          [this, inode, durable, done = std::move(done)] { start_commit(inode, durable, done); });
      return;
    }
  }
  std::shared_ptr<upload::Upload> upload;
  wire::Placement placement;
  std::vector<Job> waiting;
  bool unused = false;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged->unlinked) {  // while this waited
      inode->staged->committing = false;
      unused = inode->open_handles == 0;
      waiting.swap(inode->after_commit);
    } else {
      upload = inode->staged->upload;
      placement = inode->staged->placement;
      set_times(placement.attr, inode->attr);
      if (placement.join == wire::kJoinEmptied && upload->size() > 0) {
        placement.join = wire::kJoinNot;  // a new version, as of a file that was there
      }
      if (inode->open_handles > 0 && !map_.may_open_own(inode->attr.mode)) {
        placement.handle = next_handle();
      }
    }
  }
  if (!upload) {
    if (unused) {
      abandon(inode);
    }
    done({});
    for (const Job& job : waiting) {
      job();
    }
    return;
  }
  placement.path = inodes_.path(*inode).value_or("");
  transfers_.committing(*upload, placement.path);
  const uint32_t handle = placement.handle;
  upload->commit(
      std::move(placement), durable, [this, inode] { return inodes_.path(*inode).value_or(""); },
      [this, inode, handle, done = std::move(done)](Result<wire::CommitAnswer> answer) {
        const uint32_t kept = answer && answer->is_open ? handle : 0;
        finish_commit(inode, std::move(answer), kept, done);
      });
}

// What was staged is the file now: whoever only closes it does not commit what another program may
// stage next.
void Vfs::forget_touches(Inode& inode) {
  for (const auto& weak : inode.open_files) {
    if (const auto file = weak.lock()) {
      file->touched = false;
    }
  }
}

void Vfs::note_committed(Inode& inode, const wire::CommitAnswer& answer) {
  forget_touches(inode);
  inode.shown_ctime = inode.attr.ctime;
  inode.committed_ctime = answer.attr.ctime;
  inode.attr = answer.attr;
  inode.attr_deadline_ms = system_clock().now_ms() + kCacheMs;
  inode.cached_attr = answer.joined ? wire::Attr{} : answer.attr;
  inode.out_of_reach = false;
  ++inode.version;
  if (answer.sha256 != hash::Sha256Value{}) {
    inode.sha256 = answer.sha256;
    inode.sha256_attr = answer.attr;
  }
}

void Vfs::finish_commit(const InodePtr& inode, Result<wire::CommitAnswer> answer, uint32_t handle,
                        const StatusDone& done) {
  ++finishing_;
  if (answer) {
    inodes_.set_key(inode, identity_of(answer->attr));
    remote_clock_.observe(answer->now);
  }
  std::vector<Job> waiting;
  Staged staged;
  // Of a handle that was open before: it writes to the old file, which has lost its name.
  std::shared_ptr<upload::InPlaceWriter> old_writer;
  std::vector<uint32_t> unused;  // handles
  {
    const MutexLock lock(inode->mutex);
    staged = std::move(*inode->staged);
    inode->staged.reset();
    waiting.swap(inode->after_commit);
    ++inode->change_count;
    if (answer) {
      old_writer.swap(inode->writer);
      unused = replace_handles(*inode, handle);
      note_committed(*inode, *answer);
    } else {
      inode->attr_deadline_ms = 0;
    }
  }
  for (const uint32_t one : unused) {
    close_remote(one);
  }
  transfers_.finish(*staged.upload, answer);
  const InodePtr parent = inodes_.parent(*inode);
  if (parent) {
    forget_times(parent);
    notifier_.invalidate_inode(parent->id, false);
  }
  if (!answer) {
    log::warning("not committed: ", answer.error().to_string());
    // A lost connection leaves what has arrived to the next upload.
    staged.upload->cancel(is_retryable(answer.error()));
    if (staged.replaced) {
      forget_unlink(*staged.replaced);
    }
  }
  if (!answer && (staged.is_new || staged.replaces)) {
    vanish(inode);
  } else if (!answer || staged.uncached || answer->joined) {
    notifier_.invalidate_inode(inode->id, true);
  }
  // The kernel has attributes from before: whoever has closed the file sees those of the commit.
  notifier_.invalidate_inode(
      inode->id, false,
      [done, status = answer ? Status() : Status(fail(answer.error()))] { done(status); });
  for (const Job& job : waiting) {
    job();
  }
  --finishing_;
  const MutexLock lock(drain_mutex_);
  drained_.notify_all();
}

void Vfs::abandon(const InodePtr& inode, const upload::Upload* unused) {
  std::optional<Staged> staged;
  {
    const MutexLock lock(inode->mutex);
    if (!inode->staged || inode->staged->committing ||
        (unused != nullptr && !is_unused(*inode, unused))) {
      return;
    }
    staged.swap(inode->staged);
    inode->attr_deadline_ms = 0;
    ++inode->change_count;
  }
  staged->upload->cancel(!staged->unlinked);
  transfers_.finish(*staged->upload, fail(Errc::cancelled, "given up"));
  if (staged->replaced && !staged->unlinked) {
    forget_unlink(*staged->replaced);
  }
  if (staged->is_new || staged->replaces) {
    vanish(inode);
  } else {
    notifier_.invalidate_inode(inode->id, true);
  }
}

// The name was only ever here.
void Vfs::vanish(const InodePtr& inode) {
  if (const auto name = inodes_.name(*inode)) {
    inodes_.remove_name(*name->first, name->second);
    notifier_.invalidate_entry(name->first->id, name->second);
  }
}

// True while this upload is what is staged and nobody has the file open for writing: another
// program may open it at any moment.
bool Vfs::is_unused(const Inode& inode, const upload::Upload* staged) {
  return inode.staged && inode.staged->upload.get() == staged && inode.open_writers == 0;
}

// After the last close of a handle that could write.
void Vfs::end_writing(const InodePtr& inode) {
  bool give_up = false;
  std::shared_ptr<upload::Upload> staged;
  std::shared_ptr<upload::InPlaceWriter> writer;
  {
    const MutexLock lock(inode->mutex);
    // Without a name it is kept for those that still read it.
    if (inode->staged && !inode->staged->unlinked && inode->open_writers == 0) {
      staged = inode->staged->upload;
      give_up = inode->staged->abandoned;
    }
    writer = inode->writer;
  }
  if (give_up) {
    abandon(inode, staged.get());
  } else if (staged) {
    // No flush took it: the last descriptor went without close(2), or after a redirection.
    commit(
        inode, false,
        [](const Status& status) {
          if (!status) {
            log::error("lost after its last close: ", status.error().to_string());
          }
        },
        staged.get());
  }
  if (writer) {
    writer->drain([this, inode, writer](const Status& status) {
      if (!status) {
        log::error("lost after its last close: ", status.error().to_string());
      }
      uint32_t handle = 0;
      {
        const MutexLock lock(inode->mutex);
        if (inode->open_writers == 0 && inode->writer == writer) {
          inode->writer = nullptr;
          handle = take_writer_handle(*inode);
        }
      }
      close_remote(handle);
    });
  }
}

void Vfs::drain_in_place(const InodePtr& inode, StatusDone done) {
  std::shared_ptr<upload::InPlaceWriter> writer;
  {
    const MutexLock lock(inode->mutex);
    writer = inode->writer;
  }
  if (writer) {
    writer->drain(std::move(done));
  } else {
    done({});
  }
}

void Vfs::wait_in_place(const InodePtr& inode, Job done) {
  std::shared_ptr<upload::InPlaceWriter> writer;
  {
    const MutexLock lock(inode->mutex);
    writer = inode->writer;
  }
  if (writer) {
    writer->wait(std::move(done));
  } else {
    done();
  }
}

bool Vfs::is_committing() const {
  if (finishing_ > 0) {
    return true;
  }
  const auto inodes = all_staged();
  return std::any_of(inodes.begin(), inodes.end(), [](const InodePtr& inode) {
    const MutexLock lock(inode->mutex);
    return inode->staged && inode->staged->committing;
  });
}

void Vfs::drain(int64_t timeout_ms) {
  pending_unlinks_.flush();
  for (const InodePtr& inode : all_staged()) {
    abandon(inode);
  }
  const int64_t deadline_ms = system_clock().now_ms() + timeout_ms;
  while (is_committing()) {
    const int64_t left_ms = deadline_ms - system_clock().now_ms();
    if (left_ms <= 0) {
      log::error("commits were still running when the mount ended");
      return;
    }
    const MutexLock lock(drain_mutex_);
    drained_.wait_for_ms(drain_mutex_, std::min<int64_t>(left_ms, 100));
  }
}

MountReport Vfs::report() {
  MountReport report;
  transfers_.fill(report);
  report.window_used = window_.used();
  return report;
}

}  // namespace cpaway::fs
