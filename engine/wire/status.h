// Errors on the wire: Errc by its number, errno by Linux's generic numbering (asm-generic), which
// is that of every architecture that the agent is built for. Unknown numbers become EIO.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/error.h"

namespace cpaway::wire {

[[nodiscard]] uint16_t status_to_wire(Errc code);
[[nodiscard]] uint32_t errno_to_wire(int os_errno);
// `status` is not 0.
[[nodiscard]] Error error_from_wire(uint16_t status, uint32_t wire_errno, std::string context);

}  // namespace cpaway::wire
