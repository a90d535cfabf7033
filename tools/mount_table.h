// What is mounted where, as the kernel says in /proc/self/mountinfo.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace cpaway::tools {

struct MountEntry {
  std::string mountpoint;
  std::string type;  // "fuse.cpaway" for ours
  std::string source;
  bool operator==(const MountEntry&) const = default;
};

inline constexpr std::string_view kFuseType = "fuse.cpaway";

// Lines that cannot be understood are skipped.
[[nodiscard]] std::vector<MountEntry> parse_mountinfo(std::string_view text);
[[nodiscard]] Result<std::vector<MountEntry>> read_mount_table();

// The uppermost mount at exactly this path.
[[nodiscard]] std::optional<MountEntry> find_mount(const std::vector<MountEntry>& table,
                                                   std::string_view mountpoint);

}  // namespace cpaway::tools
