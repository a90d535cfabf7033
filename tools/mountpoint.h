// The directory to mount on: its true name, whether it may be used, and a dead mount cleared away.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace cpaway::tools {

// The absolute name without symbolic links, as the mount table has it. Does not touch the last
// component where something is mounted on it, since that may hang or be dead.
[[nodiscard]] Result<std::string> resolve_mountpoint(const std::string& path);

// Makes sure that `mountpoint` (resolved) can be mounted on: a directory, empty unless
// `nonempty`, with no FUSE mount on it. What a killed cpaway left there is unmounted. Errors name
// the mountpoint.
[[nodiscard]] Status prepare_mountpoint(const std::string& mountpoint, bool nonempty);

// Whether something answers at `mountpoint`. Where nothing does within `timeout_ms`, it is taken
// for alive: only ENOTCONN says that the daemon is gone.
[[nodiscard]] bool is_dead_mount(const std::string& mountpoint, int timeout_ms);

// Opens /dev/fuse for a moment. The error says what to do.
[[nodiscard]] Status check_fuse_device();

// allow_other for a user who is not root needs the administrator's leave in /etc/fuse.conf.
[[nodiscard]] Status check_allow_other(bool allow_other);

}  // namespace cpaway::tools
