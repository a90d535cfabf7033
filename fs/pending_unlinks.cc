#include "fs/pending_unlinks.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "engine/base/clock.h"
#include "fs/caller.h"

namespace cpaway::fs {
namespace {

// How often programs are looked after.
constexpr int64_t kLookMs = 100;

bool has_ended(pid_t program) {
  return ::kill(program, 0) != 0 && errno == ESRCH;
}

}  // namespace

PendingUnlinks::~PendingUnlinks() {
  flush();
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
    changed_.notify_all();
  }
  if (thread.joinable()) {
    thread.join();
  }
}

void PendingUnlinks::add(PendingUnlink pending) {
  const MutexLock lock(mutex_);
  Key key(pending.parent->id, pending.name);
  auto process = last_process_.lock();
  if (!process || last_program_ != pending.program) {
    process =
        std::make_shared<UniqueFd>(static_cast<int>(::syscall(SYS_pidfd_open, pending.program, 0)));
    last_program_ = pending.program;
    last_process_ = process;
  }
  entries_[std::move(key)] =
      Entry{std::move(pending), system_clock().now_ms() + kDelayMs, std::move(process)};
  if (!thread_.joinable() && !stopping_) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "cpaway-unlink");
      run();
    });
  }
  changed_.notify_all();
}

bool PendingUnlinks::contains(const Inode& parent, std::string_view name) const {
  const MutexLock lock(mutex_);
  return !entries_.empty() && entries_.contains(Key(parent.id, name));
}

std::optional<PendingUnlink> PendingUnlinks::claim(const Inode& parent, std::string_view name,
                                                   pid_t program) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(Key(parent.id, name));
  if (found == entries_.end() || found->second.pending.program != program) {
    return std::nullopt;
  }
  PendingUnlink pending = std::move(found->second.pending);
  entries_.erase(found);
  return pending;
}

// Looked at in this order: what has ended between the two looks was killed or not by the second.
template <class Predicate>
void PendingUnlinks::settle_if(Predicate predicate) {
  struct Fate {
    bool ended = false;
    bool killed = false;
  };
  std::vector<PendingUnlink> unlinks;
  std::vector<PendingUnlink> stays;
  {
    const MutexLock lock(mutex_);
    std::map<pid_t, Fate> fates;
    for (auto one = entries_.begin(); one != entries_.end();) {
      Entry& entry = one->second;
      const pid_t program = entry.pending.program;
      const auto [fate, is_new] = fates.try_emplace(program);
      if (is_new) {
        fate->second.ended = has_ended(program);
        fate->second.killed = killed_by_signal(program) ||
                              (fate->second.ended && was_killed_by_signal(entry.process->get()));
      }
      if (fate->second.killed || predicate(one->first, entry, fate->second.ended)) {
        (fate->second.killed ? stays : unlinks).push_back(std::move(entry.pending));
        one = entries_.erase(one);
      } else {
        ++one;
      }
    }
  }
  for (const PendingUnlink& one : unlinks) {
    carry_out_(one);
  }
  for (const PendingUnlink& one : stays) {
    give_back_(one);
  }
}

void PendingUnlinks::flush(const Inode& parent, std::string_view name) {
  const Key wanted(parent.id, name);
  settle_if([&](const Key& key, const Entry& /*entry*/, bool /*ended*/) { return key == wanted; });
}

void PendingUnlinks::flush(const Inode& parent) {
  settle_if([&](const Key& key, const Entry& /*entry*/, bool /*ended*/) {
    return key.first == parent.id;
  });
}

void PendingUnlinks::flush() {
  settle_if([](const Key& /*key*/, const Entry& /*entry*/, bool /*ended*/) { return true; });
}

void PendingUnlinks::run() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (entries_.empty() && !stopping_) {
        changed_.wait(mutex_);
      }
      if (stopping_) {
        return;
      }
      changed_.wait_for_ms(mutex_, kLookMs);
    }
    const int64_t now_ms = system_clock().now_ms();
    settle_if([now_ms](const Key& /*key*/, const Entry& entry, bool ended) {
      return ended || entry.due_ms <= now_ms;
    });
  }
}

}  // namespace cpaway::fs
