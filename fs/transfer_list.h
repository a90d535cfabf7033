// Running and recent uploads, for `cpaway status`.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "engine/base/mutex.h"
#include "engine/upload/upload.h"
#include "fs/mount.h"

namespace cpaway::fs {

// Thread-safe; the lock is a leaf.
class TransferList {
 public:
  static constexpr size_t kMaxRecent = 32;

  // Ended transfers are recorded in `journal`, which outlives the list.
  explicit TransferList(upload::Journal& journal) : journal_(journal) {}

  void start(const std::shared_ptr<upload::Upload>& upload, std::string path)
      CPAWAY_EXCLUDES(mutex_);
  void moved(const upload::Upload& upload, std::string path) CPAWAY_EXCLUDES(mutex_);
  void committing(const upload::Upload& upload, std::string path) CPAWAY_EXCLUDES(mutex_);
  void finish(const upload::Upload& upload, const Result<wire::CommitAnswer>& answer)
      CPAWAY_EXCLUDES(mutex_);
  void fill(MountReport& report) const CPAWAY_EXCLUDES(mutex_);

 private:
  struct Running {
    std::shared_ptr<upload::Upload> upload;
    std::string path;
    bool committing = false;
    int64_t started_ms = 0;  // since the epoch
  };
  static TransferReport report_of(const Running& running);

  upload::Journal& journal_;
  mutable Mutex mutex_;
  std::unordered_map<const upload::Upload*, Running> running_ CPAWAY_GUARDED_BY(mutex_);
  std::deque<TransferReport> recent_ CPAWAY_GUARDED_BY(mutex_);  // newest first
};

}  // namespace cpaway::fs
