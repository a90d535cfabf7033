#include "engine/agent/mode.h"

#include <cerrno>

#include "engine/base/strings.h"

namespace cpaway::agent {

Result<Mode> parse_mode(std::string_view text) {
  if (text == "read-only") {
    return Mode::read_only;
  }
  if (text == "write-only") {
    return Mode::write_only;
  }
  if (text == "no-delete") {
    return Mode::no_delete;
  }
  return fail(Errc::invalid, concat("mode ", text));
}

Status check_allowed(Mode mode, uint8_t effects) {
  switch (mode) {
    case Mode::unrestricted:
      return {};
    case Mode::read_only:
      return (effects & (kWrites | kRemoves)) != 0 ? Status(fail_os(EROFS, "mode read-only"))
                                                   : Status{};
    case Mode::write_only:
      return (effects & kReadsContent) != 0 ? Status(fail_os(EACCES, "mode write-only")) : Status{};
    case Mode::no_delete:
      return (effects & kRemoves) != 0 ? Status(fail_os(EPERM, "mode no-delete")) : Status{};
  }
  return fail_os(EPERM, "unknown mode");
}

}  // namespace cpaway::agent
