// The mount's log: standard error, a file, or syslog, through spdlog.
#pragma once

#include <string>

#include "engine/base/log.h"
#include "engine/base/result.h"

namespace cpaway::log {

struct Options {
  // "stderr", "syslog", or the path of a file, which is appended to.
  std::string target = "stderr";
  Level level = Level::info;
};

// Installs the sink. Before threads start, and after daemonising (a sink may own a thread or a
// descriptor). Errors: the file cannot be opened.
[[nodiscard]] Status open(const Options& options);

}  // namespace cpaway::log
