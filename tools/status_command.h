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

// For people: a line for the mount and one for each transfer. On a terminal of so many columns (0
// is none) a transfer has several: its name, below that a bar while it runs, what travelled, and
// how it ended.
[[nodiscard]] std::string format_status(const MountStatus& status, size_t columns);

// "1.5 GiB".
[[nodiscard]] std::string format_size(uint64_t bytes);

}  // namespace cpaway::tools
