// `cpaway gc`: removes what interrupted uploads have left on the remote host.
#pragma once

#include <cstdint>
#include <string>

#include "engine/wire/message.h"

namespace cpaway::tools {

inline constexpr uint64_t kDefaultMaxAgeDays = 7;

struct GcWords {
  std::string mountpoint;
  std::string state_dir;
  uint64_t max_age_days = kDefaultMaxAgeDays;  // staging files changed since then stay
};

[[nodiscard]] int gc_command(const GcWords& words);

// "removed 2 staging files, 1.5 MiB; kept 1".
[[nodiscard]] std::string format_gc(const wire::Collect::Answer& answer);

}  // namespace cpaway::tools
