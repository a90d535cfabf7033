// Locks of programs, held on the file on the remote host (fs/DESIGN.md, "Locks").
#include <cerrno>

#include "engine/base/log.h"
#include "fs/errno_map.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// How often a lock that nobody waits for is asked for again, while this mount is letting go others.
constexpr int kMaxTries = 20;
// The kernel does not wait for the last close of a file, and it may be served after the request of
// another program that counts on it: who is in the way and was closed this long ago is looked at
// again, so many times in such a distance.
constexpr int64_t kClosingMs = 1000;
constexpr int64_t kClosingPauseMs = 5;
constexpr int kClosingTries = 20;
// A file without a name has no agent to wait at.
constexpr int64_t kLocalPauseMs = 20;
// A file that was last changed this long before a lock was had gets another time by any later
// change, on every filesystem that keeps whole seconds.
constexpr int64_t kSettledSeconds = 3;

bool same_file_state(const wire::Attr& a, const wire::Attr& b) {
  return a.ino == b.ino && a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime;
}

bool is_conflict(const Error& error) {
  return error.code == Errc::os && error.os_errno == EAGAIN;
}

bool is_untouched(const Staged& staged) {
  return staged.upload->progress().written == 0 && staged.upload->size() == 0 && !staged.replaces &&
         !staged.changed;
}

// Without a name, or without a future: nobody else is to see it.
bool stays_staged(const Staged& staged) {
  return staged.unlinked || staged.abandoned;
}

}  // namespace

// Nobody else sees a staged file, so its locks would keep nobody out. One in which nothing was
// written yet takes the way of a local filesystem: the old file, or one that somebody has just
// created, stays what it is, so that all who lock it lock the same. Any other is committed.
void Vfs::settle_for_lock(const InodePtr& inode, StatusDone done) {
  bool staged = false;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged && inode->staged->committing) {
      inode->after_commit.emplace_back(
          [this, inode, done = std::move(done)] { settle_for_lock(inode, done); });
      return;
    }
    staged = inode->staged && !stays_staged(*inode->staged);
    if (staged) {
      // Another open of the same lock file may be under way, and only its end tells what it is.
      inode->staged->committing = true;
      if (inode->staged->uses > 0) {
        inode->staged->when_unused = [this, inode, done = std::move(done)] {
          settle_staged(inode, done);
        };
        return;
      }
    }
  }
  if (staged) {
    settle_staged(inode, std::move(done));
  } else {
    done({});
  }
}

void Vfs::settle_staged(const InodePtr& inode, StatusDone done) {
  bool untouched = false;
  bool is_new = false;
  bool stays = false;
  bool unused = false;
  std::vector<Job> waiting;
  {
    const MutexLock lock(inode->mutex);
    Staged& staged = *inode->staged;
    is_new = staged.is_new;
    untouched = is_untouched(staged) && !(is_new && staged.placement.exclusive);
    stays = stays_staged(staged);
    if (stays) {
      unused = (staged.unlinked ? inode->open_handles : inode->open_writers) == 0;
      staged.committing = false;
      waiting.swap(inode->after_commit);
    }
  }
  if (stays) {
    if (unused) {
      abandon(inode);  // its last close came meanwhile
    }
    done({});
    for (const Job& job : waiting) {
      job();
    }
  } else if (untouched) {
    settle_untouched(inode, is_new, std::move(done));
  } else {
    start_commit(inode, false, std::move(done));
  }
}

void Vfs::settle_untouched(const InodePtr& inode, bool is_new, StatusDone done) {
  if (is_new) {
    create_for_lock(inode, std::move(done));
    return;
  }
  wire::SetAttrRequest truncate{wire::Target{0, inodes_.path(*inode).value_or("")}, {}};
  truncate.attr.size = 0;
  client::call(agent_, truncate,
               [this, inode, done = std::move(done)](const Result<wire::Attr>& attr) {
                 if (!attr && errno_of(attr.error()) == ENOENT) {
                   create_for_lock(inode, done);  // somebody has removed it meanwhile
                 } else {
                   adopt_remote(inode, attr, 0, done);
                 }
               });
}

void Vfs::create_for_lock(const InodePtr& inode, StatusDone done) {
  const std::string path = inodes_.path(*inode).value_or("");
  const auto adopt = [this, inode, done = std::move(done)](const Result<wire::Attr>& attr,
                                                           uint32_t handle) {
    adopt_remote(inode, attr, handle, done);
  };
  uint32_t mode = 0;
  wire::SetAttrRequest owner{wire::Target{0, path}, {}};
  {
    const MutexLock lock(inode->mutex);
    mode = inode->staged->placement.create_mode;
    if (const auto& maker = inode->staged->placement.owner) {
      owner.attr.uid = maker->uid;
      owner.attr.gid = maker->gid;
    }
  }
  const uint32_t handle = next_handle();
  const uint32_t flags = wire::kOpenRead | wire::kOpenWrite | wire::kOpenCreate;
  client::call(agent_, wire::Open{handle, path, flags, mode},
               [this, handle, path, mode, owner, adopt](const Result<wire::Attr>& attr) {
                 const uint32_t made = attr && !map_.may_open_own(mode) ? handle : 0;
                 if (made == 0) {
                   close_remote(handle);
                 }
                 if (attr && owner.attr.uid) {
                   client::call(agent_, owner,
                                [adopt, made, attr = *attr](const Result<wire::Attr>& given) {
                                  adopt(given ? given : Result<wire::Attr>(attr), made);
                                });
                 } else if (attr || errno_of(attr.error()) != EEXIST) {
                   adopt(attr, made);
                 } else {
                   client::call(agent_, wire::GetAttr{wire::Target{0, path}},
                                [adopt](const Result<wire::Attr>& there) { adopt(there, 0); });
                 }
               });
}

// What was staged is the remote file now, and written in place.
void Vfs::adopt_remote(const InodePtr& inode, const Result<wire::Attr>& attr, uint32_t handle,
                       const StatusDone& done) {
  if (attr) {
    inodes_.set_key(inode, identity_of(*attr));
  }
  std::optional<Staged> staged;
  std::vector<Job> waiting;
  std::shared_ptr<upload::InPlaceWriter> old_writer;
  std::vector<uint32_t> unused;
  {
    const MutexLock lock(inode->mutex);
    waiting.swap(inode->after_commit);
    inode->staged->committing = false;
    // Else it is the file that is open already.
    if (attr && identity_of(*attr) != identity_of(inode->attr)) {
      old_writer.swap(inode->writer);
      unused = replace_handles(*inode, handle);
    }
    if (attr) {
      staged.swap(inode->staged);
      forget_touches(*inode);
      inode->attr = *attr;
      inode->attr_deadline_ms = system_clock().now_ms() + kCacheMs;
      ++inode->change_count;
      ++inode->version;
    }
  }
  for (const uint32_t one : unused) {
    close_remote(one);
  }
  if (staged) {
    transfers_.finish(*staged->upload, fail(Errc::cancelled, "written in place"));
    staged->upload->cancel(false);
  }
  done(attr ? Status() : Status(fail(attr.error())));
  for (const Job& job : waiting) {
    job();
  }
}

void Vfs::lock(const Reply& reply, uint64_t handle, const LockRequest& request) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  if (request.range.type == wire::kUnlock) {
    const LockKey key{file->inode->id, request.family, request.owner};
    if (const LockOwnerPtr owner = locks_.use(locks_.find(key))) {
      unlock(reply, owner, request);
    } else {
      reply.ok();
    }
  } else {
    lock(reply, file, request);
  }
}

void Vfs::lock(const Reply& reply, const OpenFilePtr& file, const LockRequest& request) {
  settle_for_lock(file->inode, [this, reply, file, request](const Status& settled) {
    if (settled) {
      lock_settled(reply, file, request);
    } else {
      reply.error(settled.error());
    }
  });
}

// The owner's entry, and its handle at the agent. The handle of the open file says which file is
// meant, whatever has its name by now. Null where it has been staged again since it was settled.
Result<LockOwnerPtr> Vfs::lock_owner(const OpenFilePtr& file, const LockRequest& request) {
  const InodePtr& inode = file->inode;
  const LockKey key{inode->id, request.family, request.owner};
  bool staged = false;
  uint64_t version = 0;
  {
    const MutexLock lock(inode->mutex);
    staged = inode->staged.has_value();
    if (staged && !stays_staged(*inode->staged)) {
      return LockOwnerPtr();
    }
    version = inode->version;
  }
  LockOwnerPtr outdated;
  LockOwnerPtr owner = locks_.use(key, version, &outdated);
  if (outdated) {
    close_remote(outdated->handle);
  }
  if (!owner) {
    uint32_t target = 0;
    if (!staged && file->writes) {
      CPAWAY_ASSIGN(target, writer_handle(inode));
    } else if (!staged) {
      CPAWAY_ASSIGN(target, read_handle(*file));
    }
    const auto made = std::make_shared<LockOwner>(key, inode, version, staged ? 0 : next_handle());
    if (outdated) {
      made->files = outdated->files;
    }
    // Sent before others find it, so that no lock overtakes it.
    if (!staged) {
      send_open_lock(agent_, made, {target, {}});
    }
    owner = locks_.add(made);
    if (owner->handle != made->handle) {
      close_remote(made->handle);
    } else if (const auto name = inodes_.name(*inode)) {
      locks_.add_name(name->first->id, name->second);
    }
  }
  locks_.attach(owner, file);
  return owner;
}

void Vfs::send_open_lock(client::Requester& agent, const LockOwnerPtr& owner, wire::Target target) {
  client::call(agent, wire::OpenLock{owner->handle, std::move(target), owner->key.family},
               [this](const Result<wire::OpenLock::Answer>& answer) {
                 if (answer) {
                   locks_.set_successor_name(answer->successor_name);
                 } else {
                   log::debug("open for locks: ", answer.error().to_string());
                 }
               });
}

void Vfs::lock_settled(const Reply& reply, const OpenFilePtr& file, const LockRequest& request) {
  if (reply.answered()) {
    return;  // interrupted, and perhaps closed by now
  }
  const auto owner = lock_owner(file, request);
  if (!owner) {
    reply.error(owner.error());
  } else if (!*owner) {
    lock(reply, file, request);
  } else if (locks_.is_lost(*owner)) {
    reply.error(EIO);
  } else if ((*owner)->handle == 0) {
    lock_local(reply, *owner, request, nullptr);
  } else {
    lock_remote(reply, file, *owner, request, 0);
  }
}

void Vfs::lock_local(const Reply& reply, const LockOwnerPtr& owner, const LockRequest& request,
                     std::shared_ptr<std::atomic<bool>> interrupted) {
  if (reply.answered()) {
    return;
  }
  if (interrupted && *interrupted) {
    reply.error(EINTR);
  } else if (locks_.try_local(owner, request.range, request.pid)) {
    reply.ok();
  } else if (!request.wait) {
    reply.error(EAGAIN);
  } else {
    if (!interrupted) {
      interrupted = std::make_shared<std::atomic<bool>>(false);
      reply.on_signal([interrupted] { *interrupted = true; });  // `reply` would hold itself
    }
    timer_.after(kLocalPauseMs, [this, reply, owner, request, interrupted] {
      lock_local(reply, owner, request, interrupted);
    });
  }
}

void Vfs::lock_remote(const Reply& reply, const OpenFilePtr& file, const LockOwnerPtr& owner,
                      const LockRequest& request, int tries) {
  const uint32_t ticket = next_ticket_++;
  const auto interrupted = std::make_shared<std::atomic<bool>>(false);
  if (request.wait) {
    reply.on_signal([&agent = agent_, handle = owner->handle, ticket, interrupted] {
      *interrupted = true;
      client::call(agent, wire::CancelLock{handle, ticket}, [](const Result<wire::Empty>&) {});
    });
  }
  const LockRange& range = request.range;
  const uint64_t releases = locks_.releases();
  uint64_t change_count = 0;
  {
    const MutexLock lock(owner->inode->mutex);
    change_count = owner->inode->change_count;
  }
  client::call(
      agent_, wire::Lock{owner->handle, ticket, range.type, range.first, range.last, request.wait},
      [this, reply, file, owner, request, tries, releases, change_count,
       interrupted](const Result<wire::Lock::Answer>& answer) {
        if (!answer && is_conflict(answer.error()) && tries < kMaxTries &&
            locks_.released_since(releases)) {
          lock_remote(reply, file, owner, request, tries + 1);
          return;
        }
        if (!answer && is_conflict(answer.error()) && may_be_closed(owner, request, tries)) {
          timer_.after(kClosingPauseMs, [this, reply, file, owner, request, tries] {
            lock_remote(reply, file, owner, request, tries + 1);
          });
          return;
        }
        if (!answer && !*interrupted && !reply.answered() && !locks_.find(owner->key)) {
          lock_again(reply, file, request);
          return;
        }
        if (!answer) {
          refuse_lock(reply, owner, request, answer.error());
          return;
        }
        locks_.record(owner, request.range, request.pid);
        see_changes(owner->inode, *answer, change_count,
                    [this, reply, owner, range = request.range] {
                      if (!reply.done()) {
                        // The program was told that it has none.
                        unlock_remote(owner, range, [](const Status&) {});
                      }
                    });
      });
}

bool Vfs::may_be_closed(const LockOwnerPtr& owner, const LockRequest& request, int tries) const {
  return tries < kClosingTries &&
         locks_.may_be_closed(owner, request.range, system_clock().now_ms() - kClosingMs);
}

void Vfs::refuse_lock(const Reply& reply, const LockOwnerPtr& owner, const LockRequest& request,
                      const Error& error) {
  if (request.family == wire::kFlock) {
    // The kind of an flock is changed by letting go and asking anew (flock(2)).
    locks_.record(owner, {wire::kUnlock, 0, wire::kLockEnd}, request.pid);
  }
  reply.error(error);
}

// Another thread has closed a descriptor of the file, and with it ended what the program had
// locked, but not what this one waits for.
void Vfs::lock_again(const Reply& reply, const OpenFilePtr& file, const LockRequest& request) {
  bool is_closed = false;
  {
    const MutexLock lock(file->mutex);
    is_closed = file->is_closed;
  }
  if (is_closed) {
    reply.error(EBADF);
  } else {
    lock_settled(reply, file, request);
  }
}

void Vfs::see_changes(const InodePtr& inode, const wire::Lock::Answer& answer,
                      uint64_t change_count, Job done) {
  bool unchanged = false;
  {
    const MutexLock lock(inode->mutex);
    const bool is_written = inode->writer && inode->writer->busy();
    unchanged = inode->lock_attr_settled && same_file_state(inode->lock_attr, answer.attr);
    inode->lock_attr = answer.attr;
    inode->lock_attr_settled =
        answer.now.seconds - answer.attr.ctime.seconds > kSettledSeconds && !is_written;
    const bool is_newest = inode->change_count == change_count && !inode->staged && !is_written &&
                           identity_of(answer.attr) == identity_of(inode->attr);
    if (is_newest) {
      inode->attr = answer.attr;
    }
    inode->attr_deadline_ms = is_newest ? system_clock().now_ms() + kCacheMs : 0;
    ++inode->change_count;
  }
  if (unchanged) {
    done();
  } else {
    notifier_.invalidate_inode(inode->id, true, std::move(done));
  }
}

// What was written under a lock is at the agent before others can have the lock.
void Vfs::unlock(const Reply& reply, const LockOwnerPtr& owner, const LockRequest& request) {
  if (locks_.is_lost(owner)) {
    if (locks_.take(owner->key)) {
      release_locks({owner}, [reply] { reply.ok(); });
    } else {
      reply.ok();
    }
    return;
  }
  unlock_remote(owner, request.range, [reply](const Status& status) {
    if (status) {
      reply.ok();
    } else {
      reply.error(status.error());
    }
  });
}

void Vfs::unlock_remote(const LockOwnerPtr& owner, const LockRange& range, StatusDone done) {
  const LockRange nothing{wire::kUnlock, range.first, range.last};
  if (owner->handle == 0) {
    static_cast<void>(locks_.try_local(owner, nothing, 0));
    done({});
    return;
  }
  drain_in_place(
      owner->inode, [this, owner, nothing, done = std::move(done)](const Status& drained) {
        locks_.record(owner, nothing, 0);
        client::call(
            agent_, wire::Lock{owner->handle, 0, wire::kUnlock, nothing.first, nothing.last, false},
            [drained, done](const Result<wire::Lock::Answer>& answer) {
              done(answer || !drained ? drained : Status(fail(answer.error())));
            });
      });
}

void Vfs::test_lock(const Reply& reply, uint64_t handle, const LockRequest& request) {
  if (const auto file = find_file(reply, handle)) {
    test_lock(reply, file, request, 0);
  }
}

void Vfs::test_lock(const Reply& reply, const OpenFilePtr& file, const LockRequest& request,
                    int tries) {
  settle_for_lock(file->inode, [this, reply, file, request, tries](const Status& settled) {
    if (settled) {
      test_lock_settled(reply, file, request, tries);
    } else {
      reply.error(settled.error());
    }
  });
}

void Vfs::test_lock_settled(const Reply& reply, const OpenFilePtr& file, const LockRequest& request,
                            int tries) {
  if (reply.answered()) {
    return;
  }
  const auto owner = lock_owner(file, request);
  if (!owner) {
    reply.error(owner.error());
    return;
  }
  if (!*owner) {
    test_lock(reply, file, request, tries);
    return;
  }
  if (may_be_closed(*owner, request, tries)) {
    timer_.after(kClosingPauseMs, [this, reply, file, request, tries] {
      test_lock(reply, file, request, tries + 1);
    });
    return;
  }
  const auto answer = [reply](const LockRange& held, pid_t pid) {
    struct flock out {};
    out.l_type = F_UNLCK;
    if (held.type != wire::kUnlock) {
      out.l_type = held.type == wire::kWriteLock ? F_WRLCK : F_RDLCK;
      out.l_start = static_cast<off_t>(held.first);
      out.l_len = held.last == wire::kLockEnd ? 0 : static_cast<off_t>(held.last - held.first + 1);
      out.l_pid = pid;
    }
    out.l_whence = SEEK_SET;
    reply.lock(out);
  };
  // One of this mount's has a process to name; of others only the lock is known.
  const auto ours = locks_.conflict(*owner, request.range);
  if (ours || (*owner)->handle == 0) {
    answer(ours ? ours->first : LockRange{}, ours ? ours->second : 0);
    return;
  }
  const LockRange& range = request.range;
  client::call(agent_, wire::TestLock{(*owner)->handle, range.type, range.first, range.last},
               [reply, answer](const Result<wire::TestLock::Answer>& held) {
                 if (held) {
                   answer({held->type, held->first, held->last}, 0);
                 } else {
                   reply.error(held.error());
                 }
               });
}

void Vfs::release_locks(const std::vector<LockOwnerPtr>& owners, Job done) {
  const auto all_gone = std::shared_ptr<const void>(nullptr, [done = std::move(done)](const void*) {
    if (done) {
      done();
    }
  });
  for (const LockOwnerPtr& owner : owners) {
    if (owner->handle == 0) {
      continue;
    }
    locks_.begin_release();
    drain_in_place(owner->inode, [this, owner, all_gone](const Status& drained) {
      if (!drained) {
        log::error("lost after its last close: ", drained.error().to_string());
      }
      client::call(agent_, wire::Close{owner->handle},
                   [this, all_gone](const Result<wire::Empty>& answer) {
                     if (!answer) {
                       log::debug("close: ", answer.error().to_string());
                     }
                     locks_.end_release();
                   });
    });
  }
}

void Vfs::lose_locks(const LockOwnerPtr& owner, const Error& why) {
  if (locks_.set_lost(owner)) {
    log::error("a lock on ", inodes_.path(*owner->inode).value_or("a file without a name"),
               " is lost, its program's reads and writes fail until it lets go: ", why.to_string());
    notifier_.invalidate_inode(owner->inode->id, true);  // so that reads come here
  }
}

// The old agent, if its host has not noticed the loss, lets go first. A lock that another got
// meanwhile is lost: the program is not let to believe that it has it.
void Vfs::reopen_locks(client::Requester& agent) {
  const auto owners = locks_.all();
  if (const std::string old = locks_.successor_name(); !owners.empty() && !old.empty()) {
    client::call(agent, wire::TakeOver{old}, [](const Result<wire::Empty>&) {});
  }
  for (const LockOwnerPtr& owner : owners) {
    const auto path = inodes_.path(*owner->inode);
    if (owner->handle == 0) {
      continue;
    }
    if (!path) {
      lose_locks(owner, os_error(ESTALE, "no name"));
      continue;
    }
    send_open_lock(agent, owner, {0, *path});
    for (const LockRange& range : locks_.ranges(owner)) {
      client::call(agent, wire::Lock{owner->handle, 0, range.type, range.first, range.last, false},
                   [this, owner](const Result<wire::Lock::Answer>& answer) {
                     if (answer) {
                       see_changes(owner->inode, *answer, UINT64_MAX, [] {});
                     } else if (!is_retryable(answer.error())) {
                       lose_locks(owner, answer.error());
                     }
                   });
    }
  }
}

bool Vfs::is_near_locks(const Inode& inode) const {
  if (!locks_.has_names()) {
    return false;
  }
  const auto name = inodes_.name(inode);
  return name && locks_.is_near(name->first->id, name->second);
}

}  // namespace cpaway::fs
