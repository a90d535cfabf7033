// Asking running mounts how they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "tools/mount_status.h"
#include "tools/state_dir.h"

namespace cpaway::tools {

// Waits a few seconds at most.
[[nodiscard]] Result<MountStatus> query_daemon(const RunningDaemon& daemon);

// The daemon that serves `mountpoint` (resolved). Nothing where none has its state under `base`.
[[nodiscard]] std::optional<RunningDaemon> find_daemon(const std::string& base,
                                                       const std::string& mountpoint);

}  // namespace cpaway::tools
