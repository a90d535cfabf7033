#include "tools/gc_command.h"

#include <cerrno>
#include <cstdio>

#include "engine/base/strings.h"
#include "tools/control_client.h"
#include "tools/control_request.h"
#include "tools/exit_code.h"
#include "tools/mountpoint.h"
#include "tools/status_command.h"

namespace cpaway::tools {
namespace {

// A large tree on a slow disk takes minutes.
constexpr int kAnswerTimeoutMs = 600'000;
constexpr uint64_t kSecondsPerDay = 86'400;

}  // namespace

std::string format_gc(const wire::Collect::Answer& answer) {
  return concat("removed ", answer.removed,
                answer.removed == 1 ? " staging file, " : " staging files, ",
                format_size(answer.bytes), "; kept ", answer.kept, "\n");
}

int gc_command(const GcWords& words) {
  const auto mountpoint = resolve_mountpoint(words.mountpoint);
  if (!mountpoint) {
    return report_failure(mountpoint.error(), ExitCode::mountpoint);
  }
  const auto daemon = find_daemon(state_base(words.state_dir), *mountpoint);
  const Error none =
      make_error(Errc::invalid, concat("mountpoint ", *mountpoint, ": no cpaway mount there"));
  if (!daemon) {
    return report_failure(none, ExitCode::mountpoint);
  }
  const auto text = ask_daemon(*daemon, to_line(GcRequest{words.max_age_days * kSecondsPerDay}),
                               kAnswerTimeoutMs);
  if (!text && text.error().os_errno == ECONNREFUSED) {  // it is just ending
    return report_failure(none, ExitCode::mountpoint);
  }
  if (!text) {
    return report_failure(text.error(), ExitCode::system);
  }
  const auto outcome = parse_gc_outcome(*text);
  if (!outcome) {
    return report_failure(outcome.error(), ExitCode::system);
  }
  if (!outcome->error.empty()) {
    static_cast<void>(report_failure(make_error(Errc::invalid, concat("gc: ", outcome->error)),
                                     ExitCode::system));
    return outcome->exit_code;
  }
  static_cast<void>(std::fputs(format_gc(outcome->answer).c_str(), stdout));
  return to_int(ExitCode::ok);
}

}  // namespace cpaway::tools
