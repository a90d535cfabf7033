// Asking running mounts how they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "tools/mount_status.h"
#include "tools/state_dir.h"

namespace cpaway::tools {

// Sends a line ("" for none, which asks for the status) and reads the answer. Errors: ETIMEDOUT
// where nothing came for `timeout_ms`.
[[nodiscard]] Result<std::string> ask_daemon(const RunningDaemon& daemon,
                                             const std::string& request, int timeout_ms);
// Waits a few seconds at most.
[[nodiscard]] Result<MountStatus> query_daemon(const RunningDaemon& daemon);

// The daemon that serves `mountpoint` (resolved). Nothing where none has its state under `base`.
[[nodiscard]] std::optional<RunningDaemon> find_daemon(const std::string& base,
                                                       const std::string& mountpoint);

}  // namespace cpaway::tools
