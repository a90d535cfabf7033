#include "tools/control_request.h"

#include <nlohmann/json.hpp>

#include "engine/base/strings.h"
#include "tools/mount_status.h"
#include "tools/option_values.h"

namespace cpaway::tools {
namespace {

constexpr std::string_view kGc = "gc ";

}  // namespace

std::string to_line(const GcRequest& request) {
  return concat(kGc, request.older_than_s);
}

Result<ControlRequest> parse_control_request(std::string_view line) {
  if (line.empty()) {
    return ControlRequest(StatusRequest());
  }
  if (line.starts_with(kGc)) {
    line.remove_prefix(kGc.size());
    CPAWAY_ASSIGN(const uint64_t seconds, parse_number("gc", line, 0, INT64_MAX));
    return ControlRequest(GcRequest{seconds});
  }
  return fail(Errc::invalid, "this mount does not know the command");
}

GcOutcome refused(const Error& error, ExitCode code) {
  return {{}, describe(error), to_int(code)};
}

std::string to_text(const GcOutcome& outcome) {
  if (!outcome.error.empty()) {
    return to_text(nlohmann::json({{"error", outcome.error}, {"exit_code", outcome.exit_code}}));
  }
  return to_text(nlohmann::json({{"removed", outcome.answer.removed},
                                 {"bytes", outcome.answer.bytes},
                                 {"kept", outcome.answer.kept}}));
}

Result<GcOutcome> parse_gc_outcome(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    GcOutcome outcome;
    if (json.contains("error")) {
      json.at("error").get_to(outcome.error);
      json.at("exit_code").get_to(outcome.exit_code);
      return outcome;
    }
    json.at("removed").get_to(outcome.answer.removed);
    json.at("bytes").get_to(outcome.answer.bytes);
    json.at("kept").get_to(outcome.answer.kept);
    return outcome;
  } catch (const nlohmann::json::exception&) {
    return fail(Errc::protocol, "the mount's answer");
  }
}

}  // namespace cpaway::tools
