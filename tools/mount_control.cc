#include "tools/mount_control.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "engine/hash/digest.h"
#include "tools/mount_status.h"

namespace cpaway::tools {
namespace {

// The journal has no count of verified bytes: all of a committed file's are.
fs::TransferReport report_of(const upload::TransferRecord& record) {
  fs::TransferReport report;
  report.path = record.path;
  report.size = record.size;
  report.bytes_written = record.bytes_written;
  report.bytes_sent = record.bytes_sent;
  report.bytes_acknowledged = record.state == "committed" ? record.bytes_written : 0;
  report.bytes_matched = record.bytes_matched;
  report.bytes_resumed = record.bytes_resumed;
  const int64_t elapsed_ms = std::max<int64_t>(record.ended_ms - record.started_ms, 1);
  report.bytes_per_second = record.bytes_written * 1000 / static_cast<uint64_t>(elapsed_ms);
  report.state = record.state;
  report.sha256 = record.sha256 ? hash::to_hex(*record.sha256) : "";
  report.error = record.error;
  return report;
}

std::vector<fs::TransferReport> recent_reports(upload::Journal& journal) {
  std::vector<fs::TransferReport> reports;
  for (const upload::TransferRecord& record : journal.recent(MountControl::kMaxEarlier)) {
    reports.push_back(report_of(record));
  }
  return reports;
}

}  // namespace

MountControl::MountControl(const MountOptions& options, client::Session& session, fs::Mount& mount,
                           upload::Journal& journal)
    : options_(options),
      session_(session),
      mount_(mount),
      earlier_(recent_reports(journal)),
      collecting_(std::make_shared<std::atomic<bool>>(false)) {}

void MountControl::answer(const std::string& line, const ControlReply& reply) {
  const auto request = parse_control_request(line);
  if (!request) {
    reply.send(to_text(refused(request.error(), ExitCode::usage)));
  } else if (const auto* gc = std::get_if<GcRequest>(&*request)) {
    collect(*gc, reply);
  } else {
    reply.send(status_text());
  }
}

std::string MountControl::status_text() {
  fs::MountReport report = mount_.report();
  MountStatus status;
  status.source = options_.filesystem.source;
  status.mountpoint = options_.filesystem.mountpoint;
  status.pid = getpid();
  status.state = session_.state();
  status.window_used = report.window_used;
  status.transfers = std::move(report.running);
  std::move(report.recent.begin(), report.recent.end(), std::back_inserter(status.transfers));
  status.earlier = earlier_;
  return to_text(to_json(status));
}

void MountControl::collect(const GcRequest& request, const ControlReply& reply) {
  if (options_.filesystem.read_only) {
    reply.send(to_text(refused(os_error(EROFS, "mount option ro"), ExitCode::mountpoint)));
    return;
  }
  if (collecting_->exchange(true)) {
    reply.send(to_text(
        refused(make_error(Errc::invalid, "one is running already"), ExitCode::mountpoint)));
    return;
  }
  client::call(
      session_, wire::Collect{"", request.older_than_s, true},
      [collecting = collecting_, reply](const Result<wire::Collect::Answer>& answer) {
        *collecting = false;
        reply.send(to_text(answer ? GcOutcome{*answer, "", 0}
                                  : refused(answer.error(), connect_exit_code(answer.error()))));
      });
}

}  // namespace cpaway::tools
