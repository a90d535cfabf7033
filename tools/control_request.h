// What can be asked of a mount's daemon, as the line that a client sends:
//
//   (nothing)     how it is: tools/mount_status.h
//   gc SECONDS    remove staging files that were not changed for so long:
//                 {"removed": N, "bytes": N, "kept": N}
//
// What was refused or failed is answered with {"error": TEXT, "exit_code": N}.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "engine/base/result.h"
#include "engine/wire/message.h"
#include "tools/exit_code.h"

namespace cpaway::tools {

struct StatusRequest {};
struct GcRequest {
  uint64_t older_than_s = 0;
};
using ControlRequest = std::variant<StatusRequest, GcRequest>;

[[nodiscard]] std::string to_line(const GcRequest& request);
// Errors: a line that is none of these.
[[nodiscard]] Result<ControlRequest> parse_control_request(std::string_view line);

// How a gc went; `error` is a sentence for people, "" where all is well.
struct GcOutcome {
  wire::Collect::Answer answer;
  std::string error;
  int exit_code = 0;
};

[[nodiscard]] GcOutcome refused(const Error& error, ExitCode code);
[[nodiscard]] std::string to_text(const GcOutcome& outcome);
// Errors: not JSON, or not of this form.
[[nodiscard]] Result<GcOutcome> parse_gc_outcome(std::string_view text);

}  // namespace cpaway::tools
