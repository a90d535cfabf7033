// Locks of the client's programs on the files here: who holds one, who waits for one.
//
// What is held is the kernel's to know: each owner has a description of its own (Handle), with open
// file description locks or an flock(2) on it, which conflict with each other and with every
// program of this host, and which end with the description. Here is only what waits: each request
// is tried again when a lock of this client's goes, and else after a pause that grows to
// kLastPauseMs, since the kernel tells nobody of a lock that another process lets go. Rejected: a
// thread for each that waits in F_OFD_SETLKW, which can be neither bounded nor surely ended.
//
// The second half is the end of it all: a client whose connection broke comes back with a new agent
// while the old one, whose sshd has not noticed, still holds the locks. So an agent with locks
// listens on an abstract socket with a random name; its successor, told the name by the client,
// connects, and the old agent lets go (`ended_fd`).
//
// Thread-safe. One thread, from the first handle on. Its lock is held across lock calls, so that a
// request is either still waiting or decided; never across an answer.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/agent/handle.h"
#include "engine/base/fd.h"
#include "engine/base/mutex.h"
#include "engine/wire/frame.h"
#include "engine/wire/lock_message.h"

namespace cpaway::agent {

class LockQueue {
 public:
  static constexpr size_t kMaxWaiting = 4096;
  static constexpr int64_t kFirstPauseMs = 2;
  static constexpr int64_t kLastPauseMs = 50;
  using Send = std::function<void(wire::Frame)>;

  LockQueue() = default;
  ~LockQueue();
  LockQueue(const LockQueue&) = delete;
  LockQueue& operator=(const LockQueue&) = delete;

  // Where the answers of requests that waited go. Once, before anything else.
  void set_send(Send send) { send_ = std::move(send); }

  // A handle for locks has been opened; its locks go with remove(). Returns the name to be taken
  // over by, "" where there is none.
  [[nodiscard]] std::string add(const std::shared_ptr<Handle>& handle) CPAWAY_EXCLUDES(mutex_);
  void remove(const std::shared_ptr<Handle>& handle) CPAWAY_EXCLUDES(mutex_);

  // True: done. False: waits, and is answered as request `id`. EAGAIN where it is held and the
  // request does not wait.
  [[nodiscard]] Result<bool> take(const std::shared_ptr<Handle>& handle, const wire::Lock& request,
                                  uint32_t id) CPAWAY_EXCLUDES(mutex_);
  // The request is answered with EINTR, if it still waits.
  void cancel(const std::shared_ptr<Handle>& handle, uint32_t ticket) CPAWAY_EXCLUDES(mutex_);

  [[nodiscard]] bool in_use() const CPAWAY_EXCLUDES(mutex_);
  // Readable once a successor has taken over: every lock is gone then, and none is given any more.
  [[nodiscard]] int ended_fd() const { return ended_fd_.get(); }

  // Asks the agent of that name to let go, and waits for it, a moment at most.
  static void take_over(const std::string& name);

 private:
  struct Waiting {
    std::shared_ptr<Handle> handle;
    wire::Lock request;
    uint32_t id = 0;
    int64_t pause_ms = kFirstPauseMs;
    int64_t due_ms = 0;  // monotonic
  };
  struct Decided {
    Waiting waiting;
    int error = 0;
  };

  void start_locked() CPAWAY_REQUIRES(mutex_);
  void run() CPAWAY_EXCLUDES(mutex_);
  // Tries what is due; returns how long to sleep, -1: for ever.
  int retry(std::vector<Decided>& decided) CPAWAY_EXCLUDES(mutex_);
  void accept_successor() CPAWAY_EXCLUDES(mutex_);
  // What waits on `handle` (null: on any) leaves the queue.
  [[nodiscard]] std::vector<Decided> withdraw_locked(const Handle* handle, const uint32_t* ticket,
                                                     int error) CPAWAY_REQUIRES(mutex_);
  void answer(const std::vector<Decided>& decided);
  void wake() const;

  Send send_;
  UniqueFd wake_fd_;   // constant once the thread runs
  UniqueFd listener_;  // the same
  UniqueFd ended_fd_;  // the same

  mutable Mutex mutex_;
  std::string name_ CPAWAY_GUARDED_BY(mutex_);
  std::map<const Handle*, std::shared_ptr<Handle>> handles_ CPAWAY_GUARDED_BY(mutex_);
  std::list<Waiting> waiting_ CPAWAY_GUARDED_BY(mutex_);  // the longest wait first
  bool retry_all_ CPAWAY_GUARDED_BY(mutex_) = false;      // one of our own locks has gone
  bool ended_ CPAWAY_GUARDED_BY(mutex_) = false;
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // from the first handle on
};

// The answer to a lock that is held now.
[[nodiscard]] wire::Lock::Answer describe_lock(const Handle& handle);

}  // namespace cpaway::agent
