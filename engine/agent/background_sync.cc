#include "engine/agent/background_sync.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

namespace cpaway::agent {
namespace {

// Smaller files wait for the filesystem's sync: starting each alone costs more than it gives.
constexpr uint64_t kStartAtOnceSize = 8UL << 20U;
constexpr size_t kMaxFiles = 64;
constexpr size_t kMaxFilesystems = 64;

UniqueFd duplicate(int fd) {
  return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

}  // namespace

BackgroundSync::~BackgroundSync() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) {
    thread.join();
  }
}

void BackgroundSync::schedule(int fd, uint64_t dev, uint64_t size) {
  const MutexLock lock(mutex_);
  const bool start = size >= kStartAtOnceSize && to_start_.size() < kMaxFiles;
  if (start) {
    to_start_.push_back(duplicate(fd));
  }
  if (to_sync_.empty()) {
    due_ms_ = system_clock().now_ms() + kSyncDelayMs;
  } else if (!start && to_sync_.contains(dev)) {
    return;
  }
  if (!to_sync_.contains(dev) && to_sync_.size() < kMaxFilesystems) {
    to_sync_.emplace(dev, duplicate(fd));
  }
  start_locked();
}

void BackgroundSync::close_later(UniqueFd fd) {
  const MutexLock lock(mutex_);
  if (to_close_.size() < kMaxFiles) {
    to_close_.push_back(std::move(fd));
    start_locked();
  }
}

void BackgroundSync::start_locked() {
  if (!thread_.joinable()) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "agent-sync");
      run();
    });
  }
  changed_.notify_one();
}

void BackgroundSync::run() {
  for (bool stopping = false; !stopping;) {
    UniqueFd file;
    std::deque<UniqueFd> closing;
    bool due = false;
    {
      const MutexLock lock(mutex_);
      while (!stopping_ && to_start_.empty() && to_close_.empty() &&
             (to_sync_.empty() || system_clock().now_ms() < due_ms_)) {
        if (to_sync_.empty()) {
          changed_.wait(mutex_);
        } else {
          changed_.wait_for_ms(mutex_, due_ms_ - system_clock().now_ms());
        }
      }
      stopping = stopping_;
      closing.swap(to_close_);
      due = stopping || (!to_sync_.empty() && system_clock().now_ms() >= due_ms_);
      if (!to_start_.empty()) {
        file = std::move(to_start_.front());
        to_start_.pop_front();
      }
    }
    if (due) {
      sync_all();
    } else if (file) {
      ::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    }
  }
}

void BackgroundSync::sync_all() {
  std::map<uint64_t, UniqueFd> filesystems;
  {
    const MutexLock lock(mutex_);
    filesystems.swap(to_sync_);
    to_start_.clear();
  }
  for (const auto& [dev, fd] : filesystems) {
    if (fd && ::syncfs(fd.get()) != 0) {
      log::warning(os_error(errno, "syncing committed files").to_string());
    }
  }
}

}  // namespace cpaway::agent
