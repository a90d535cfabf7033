#include "fs/transfer_list.h"

#include <utility>

namespace cpaway::fs {

void TransferList::start(const std::shared_ptr<upload::Upload>& upload, std::string path) {
  const MutexLock lock(mutex_);
  running_[upload.get()] = Running{upload, std::move(path), false};
}

void TransferList::committing(const upload::Upload& upload, std::string path) {
  const MutexLock lock(mutex_);
  const auto found = running_.find(&upload);
  if (found != running_.end()) {
    found->second.path = std::move(path);
    found->second.committing = true;
  }
}

TransferReport TransferList::report_of(const Running& running) {
  TransferReport report;
  report.path = running.path;
  report.size = running.upload->size();
  report.bytes_written = running.upload->progress().written;
  report.bytes_sent = running.upload->progress().sent;
  report.bytes_acknowledged = running.upload->progress().acknowledged;
  report.state = running.committing ? "committing" : "writing";
  return report;
}

void TransferList::finish(const upload::Upload& upload, const Result<wire::CommitAnswer>& answer) {
  const MutexLock lock(mutex_);
  const auto found = running_.find(&upload);
  if (found == running_.end()) {
    return;
  }
  TransferReport report = report_of(found->second);
  running_.erase(found);
  if (answer) {
    report.state = "committed";
    // All zeros: parts were written over, and each was verified by its own hash.
    if (answer->sha256 != hash::Sha256Value{}) {
      report.sha256 = hash::to_hex(answer->sha256);
    }
  } else {
    report.state = answer.error().code == Errc::cancelled ? "cancelled" : "failed";
    report.error = answer.error().to_string();
  }
  recent_.push_front(std::move(report));
  if (recent_.size() > kMaxRecent) {
    recent_.pop_back();
  }
}

void TransferList::fill(MountReport& report) const {
  const MutexLock lock(mutex_);
  for (const auto& [upload, running] : running_) {
    report.running.push_back(report_of(running));
  }
  report.recent.assign(recent_.begin(), recent_.end());
}

}  // namespace cpaway::fs
