// What `cpaway status --json` says of transfers.
#pragma once

#include <cstdint>
#include <string>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {

struct Transfer {
  std::string state;
  uint64_t bytes_sent = 0;
  uint64_t bytes_matched = 0;
  uint64_t bytes_resumed = 0;
};

// The newest; a running one, if there is one.
[[nodiscard]] Transfer last_transfer(const std::string& mountpoint, const std::string& state_dir);

}  // namespace cpaway::testing
