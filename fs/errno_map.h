// The one place that turns an Error into the errno a program gets.
#pragma once

#include "engine/base/error.h"

namespace cpaway::fs {

// Never 0. An Error that no errno fits becomes EIO and a warning in the log.
[[nodiscard]] int errno_of(const Error& error);

}  // namespace cpaway::fs
