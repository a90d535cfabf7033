// `cpaway umount`: unmounts, and returns once the mount's process has ended.
#pragma once

#include <string>

namespace cpaway::tools {

// `state_dir` is the mount's option of this name, "" for the usual place.
[[nodiscard]] int umount_command(const std::string& mountpoint, const std::string& state_dir);

}  // namespace cpaway::tools
