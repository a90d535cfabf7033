#include "engine/wire/status.h"

#include <cerrno>

namespace cpaway::wire {
namespace {
constexpr uint32_t kLastErrno = 133;  // EHWPOISON, the last of asm-generic/errno.h
}

uint16_t status_to_wire(Errc code) {
  return static_cast<uint16_t>(code);
}

uint32_t errno_to_wire(int os_errno) {
  return static_cast<uint32_t>(os_errno);
}

Error error_from_wire(uint16_t status, uint32_t wire_errno, std::string context) {
  const auto code = static_cast<Errc>(status);
  if (code == Errc::os || status > static_cast<uint16_t>(Errc::unsupported)) {
    const bool known = wire_errno > 0 && wire_errno <= kLastErrno;
    return os_error(known ? static_cast<int>(wire_errno) : EIO, std::move(context));
  }
  return make_error(code, std::move(context));
}

}  // namespace cpaway::wire
