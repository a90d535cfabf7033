#include "fs/pending_unlinks.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

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
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pending.program, 0)));
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

template <class Predicate>
std::vector<PendingUnlink> PendingUnlinks::take_if(Predicate predicate) {
  std::vector<PendingUnlink> taken;
  const MutexLock lock(mutex_);
  std::erase_if(entries_, [&](auto& one) {
    const bool take = predicate(one.first, one.second);
    if (take) {
      taken.push_back(std::move(one.second.pending));
    }
    return take;
  });
  return taken;
}

void PendingUnlinks::flush(const Inode& parent, std::string_view name) {
  const Key wanted(parent.id, name);
  for (const auto& one :
       take_if([&](const Key&key, const Entry& /*entry*/) { return key == wanted; })) {
    carry_out_(one);
  }
}

void PendingUnlinks::flush(const Inode& parent) {
  for (const auto& one :
       take_if([&](const Key&key, const Entry& /*entry*/) { return key.first == parent.id; })) {
    carry_out_(one);
  }
}

void PendingUnlinks::flush() {
  for (const auto& one : take_if([](const Key& /*key*/, const Entry& /*entry*/) { return true; })) {
    carry_out_(one);
  }
}

// As long as nobody has reaped it, /proc tells.
bool PendingUnlinks::was_killed(const Entry& entry) {
  return killed_by_signal(entry.pending.program) ||
         (has_ended(entry.pending.program) && entry.process &&
          was_killed_by_signal(entry.process.get()));
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
    for (const auto& one :
         take_if([](const Key& /*key*/, const Entry& entry) { return was_killed(entry); })) {
      give_back_(one);
    }
    const int64_t now_ms = system_clock().now_ms();
    for (const auto& one : take_if([now_ms](const Key& /*key*/, const Entry& entry) {
           return entry.due_ms <= now_ms || has_ended(entry.pending.program);
         })) {
      carry_out_(one);
    }
  }
}

}  // namespace cpaway::fs
