// `cpaway status`: what the running mounts of this user are doing.
#pragma once

#include <string>
#include <vector>

#include "tools/mount_status.h"

namespace cpaway::tools {

struct StatusWords {
  std::string mountpoint;  // "": every mount
  std::string state_dir;
  bool json = false;
};

[[nodiscard]] int status_command(const StatusWords& words);

// For people: a line for the mount, one for each transfer; with bars where a terminal shows them.
[[nodiscard]] std::string format_status(const MountStatus& status, bool with_bars);

// "1.5 GiB".
[[nodiscard]] std::string format_size(uint64_t bytes);

}  // namespace cpaway::tools
