#include "tools/wait_command.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <thread>

#include "engine/base/strings.h"
#include "tools/control_client.h"
#include "tools/exit_code.h"

namespace cpaway::tools {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(100);

struct Place {
  RunningDaemon daemon;
  std::string path;  // relative to the mount
};

bool is_under(std::string_view path, std::string_view directory) {
  return directory.empty() || directory == "/" || path == directory ||
         (path.starts_with(directory) && path[directory.size()] == '/');
}

Result<Place> find_place(const std::string& path, const std::string& state_dir) {
  std::error_code failed;
  auto absolute = std::filesystem::absolute(path, failed).lexically_normal();
  if (!failed && !absolute.has_filename()) {
    absolute = absolute.parent_path();
  }
  const auto parent = std::filesystem::canonical(absolute.parent_path(), failed);
  if (failed) {
    return fail_os(failed.value(), path);
  }
  const std::string whole = (parent / absolute.filename()).string();
  std::optional<RunningDaemon> nearest;
  for (RunningDaemon& daemon : running_daemons(state_base(state_dir))) {
    const std::string& mountpoint = daemon.record.mountpoint;
    if (is_under(whole, mountpoint) &&
        (!nearest || nearest->record.mountpoint.size() < mountpoint.size())) {
      nearest = std::move(daemon);
    }
  }
  if (!nearest) {
    return fail(Errc::invalid, concat(path, ": not on a cpaway mount"));
  }
  const size_t prefix = nearest->record.mountpoint.size();
  std::string relative = whole.size() > prefix ? whole.substr(prefix + 1) : "";
  return Place{std::move(*nearest), std::move(relative)};
}

}  // namespace

Result<WaitState> judge_transfers(const MountStatus& status, const std::string& path) {
  std::set<std::string> decided;  // newest first: what comes later is history
  for (const fs::TransferReport& transfer : status.transfers) {
    if (!is_under(transfer.path, path)) {
      continue;
    }
    if (is_running(transfer)) {
      return WaitState::running;
    }
    const bool last = decided.insert(transfer.path).second;
    if (last && transfer.state == "failed") {
      return fail(Errc::invalid, concat(transfer.path, ": ", transfer.error));
    }
  }
  return WaitState::done;
}

int wait_command(const std::string& path, const std::string& state_dir) {
  const auto place = find_place(path, state_dir);
  if (!place) {
    return report_failure(place.error(), ExitCode::mountpoint);
  }
  while (true) {
    const auto status = query_daemon(place->daemon);
    if (!status) {
      return report_failure(status.error(), ExitCode::system);
    }
    const auto state = judge_transfers(*status, place->path);
    if (!state) {
      return report_failure(state.error(), ExitCode::usage);
    }
    if (*state == WaitState::done) {
      return to_int(ExitCode::ok);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace cpaway::tools
