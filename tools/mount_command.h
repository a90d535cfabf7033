// `cpaway mount` and mount.cpaway: from the words of a command line to a served mount.
#pragma once

#include "tools/mount_options.h"

namespace cpaway::tools {

// Checks the options, the mountpoint and /dev/fuse, in this order, before the network is touched;
// then mounts. Returns the exit code (tools/exit_code.h), after one line on standard error where
// it is not 0: in the process that was called once the mount can be used, in the background one
// once it is unmounted.
[[nodiscard]] int mount_command(const MountWords& words);

// Only the checks: what mount(8) asks for with -f.
[[nodiscard]] int check_mount_command(const MountWords& words);

}  // namespace cpaway::tools
