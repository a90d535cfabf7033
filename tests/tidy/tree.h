// All checks over all files.
#pragma once

#include <string>
#include <vector>

#include "tests/tidy/checks.h"

namespace cpaway::tidy {

// `top` is the directory that holds CMakeLists.txt. Build trees and dot directories but .ci are
// not looked at.
[[nodiscard]] std::vector<Finding> check_tree(const std::string& top);

}  // namespace cpaway::tidy
