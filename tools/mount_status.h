// The state of one mount as its daemon tells it: one JSON object, written and read here.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "fs/mount.h"

namespace cpaway::tools {

struct MountStatus {
  std::string source;
  std::string mountpoint;
  pid_t pid = 0;
  std::string state;  // of the connection: client::Session::state()
  uint64_t window_used = 0;
  std::vector<fs::TransferReport> transfers;  // running ones, then recent ones, newest first
  std::vector<fs::TransferReport> earlier;    // of earlier mounts, newest first
};

// True for a transfer that has not come to its end.
[[nodiscard]] bool is_running(const fs::TransferReport& transfer);

[[nodiscard]] nlohmann::json to_json(const MountStatus& status);
// Names need not be UTF-8: what is not is replaced. One line.
[[nodiscard]] std::string to_text(const nlohmann::json& json);
// Errors: not JSON, or not of this form.
[[nodiscard]] Result<MountStatus> parse_mount_status(std::string_view text);

}  // namespace cpaway::tools
