// `cpaway wait`: until what is being uploaded under a path is committed.
#pragma once

#include <string>

#include "engine/base/result.h"
#include "tools/mount_status.h"

namespace cpaway::tools {

[[nodiscard]] int wait_command(const std::string& path, const std::string& state_dir);

enum class WaitState { running, done };

// Where uploads of `path` (relative to the mount, "" for all of it; what is under it counts too)
// stand. Errors: the last one of a file failed.
[[nodiscard]] Result<WaitState> judge_transfers(const MountStatus& status, const std::string& path);

}  // namespace cpaway::tools
