#include "fs/transfer_list.h"

#include <algorithm>
#include <utility>

#include "fs/attr_map.h"

namespace cpaway::fs {
namespace {

int64_t wall_ms() {
  const wire::Time now = now_time();
  return now.seconds * 1000 + now.nanoseconds / 1'000'000;
}

upload::TransferRecord record_of(const TransferReport& report, int64_t started_ms) {
  upload::TransferRecord record;
  record.path = report.path;
  record.state = report.state;
  record.error = report.error;
  record.size = report.size;
  record.bytes_written = report.bytes_written;
  record.bytes_sent = report.bytes_sent;
  record.bytes_matched = report.bytes_matched;
  record.bytes_resumed = report.bytes_resumed;
  record.started_ms = started_ms;
  record.ended_ms = wall_ms();
  return record;
}

}  // namespace

void TransferList::start(const std::shared_ptr<upload::Upload>& upload, std::string path) {
  const MutexLock lock(mutex_);
  running_[upload.get()] = Running{upload, std::move(path), false, wall_ms()};
}

void TransferList::moved(const upload::Upload& upload, std::string path) {
  const MutexLock lock(mutex_);
  const auto found = running_.find(&upload);
  if (found != running_.end()) {
    found->second.path = std::move(path);
  }
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
  report.bytes_matched = running.upload->progress().matched;
  report.bytes_resumed = running.upload->progress().resumed;
  const int64_t elapsed_ms = std::max<int64_t>(wall_ms() - running.started_ms, 1);
  report.bytes_per_second = report.bytes_written * 1000 / static_cast<uint64_t>(elapsed_ms);
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
  const int64_t started_ms = found->second.started_ms;
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
  upload::TransferRecord record = record_of(report, started_ms);
  if (answer && answer->sha256 != hash::Sha256Value{}) {
    record.sha256 = answer->sha256;
  }
  journal_.record(std::move(record));
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
