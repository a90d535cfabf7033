// Brings committed files to the disk behind the commit's answer: sync=batch.
//
// Writeback of a file starts at once; every filesystem that got a commit is synced within
// kSyncDelayMs, by one thread that starts with the first commit. So a killed process loses nothing
// and a host that loses power loses what a local cp would lose. The same thread closes replaced
// files: freeing the pages of a large one takes hundreds of milliseconds. Thread-safe.
#pragma once

#include <deque>
#include <map>
#include <thread>

#include "engine/base/fd.h"
#include "engine/base/mutex.h"

namespace cpaway::agent {

inline constexpr int64_t kSyncDelayMs = 4000;

class BackgroundSync {
 public:
  BackgroundSync() = default;
  // Syncs what is due still.
  ~BackgroundSync();
  BackgroundSync(const BackgroundSync&) = delete;
  BackgroundSync& operator=(const BackgroundSync&) = delete;

  // `fd` lies on filesystem `dev` and holds `size` bytes; the caller keeps it.
  void schedule(int fd, uint64_t dev, uint64_t size) CPAWAY_EXCLUDES(mutex_);
  void close_later(UniqueFd fd) CPAWAY_EXCLUDES(mutex_);

 private:
  void start_locked() CPAWAY_REQUIRES(mutex_);
  void run() CPAWAY_EXCLUDES(mutex_);
  void sync_all() CPAWAY_EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::deque<UniqueFd> to_start_ CPAWAY_GUARDED_BY(mutex_);  // files, writeback not begun
  std::deque<UniqueFd> to_close_ CPAWAY_GUARDED_BY(mutex_);
  std::map<uint64_t, UniqueFd> to_sync_ CPAWAY_GUARDED_BY(mutex_);  // one file for each filesystem
  int64_t due_ms_ CPAWAY_GUARDED_BY(mutex_) = 0;
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread thread_ CPAWAY_GUARDED_BY(mutex_);
};

}  // namespace cpaway::agent
