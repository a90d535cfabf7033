// Taking a mount out of the tree: directly as root, through fusermount3 as any other user.
#pragma once

#include <string>

#include "engine/base/result.h"

namespace cpaway::tools {

enum class UnmountHow {
  now,     // EBUSY where programs use it
  lazily,  // out of sight at once, gone when no program uses it any more
};

// Errors name the mountpoint; EBUSY where a program uses it.
[[nodiscard]] Status unmount(const std::string& mountpoint, UnmountHow how);

}  // namespace cpaway::tools
