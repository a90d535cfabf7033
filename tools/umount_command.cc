#include "tools/umount_command.h"

#include <cerrno>

#include "engine/base/strings.h"
#include "tools/child_process.h"
#include "tools/control_client.h"
#include "tools/exit_code.h"
#include "tools/mount_table.h"
#include "tools/mountpoint.h"
#include "tools/unmount.h"

namespace cpaway::tools {
namespace {

constexpr int kProbeTimeoutMs = 2000;
constexpr int kEndTimeoutMs = 30'000;

Status check_mounted(const std::string& mountpoint) {
  CPAWAY_ASSIGN(const auto table, read_mount_table());
  const auto entry = find_mount(table, mountpoint);
  if (!entry || entry->type != kFuseType) {
    return fail(Errc::invalid, concat("mountpoint ", mountpoint, ": no cpaway mount there"));
  }
  return {};
}

// A dead mount is taken away whoever still has files open on it: nobody can answer them.
Status unmount_alive_or_dead(const std::string& mountpoint) {
  Status unmounted = unmount(mountpoint, UnmountHow::now);
  if (!unmounted && is_dead_mount(mountpoint, kProbeTimeoutMs)) {
    return unmount(mountpoint, UnmountHow::lazily);
  }
  return unmounted;
}

}  // namespace

int umount_command(const std::string& mountpoint, const std::string& state_dir) {
  const auto resolved = resolve_mountpoint(mountpoint);
  if (!resolved) {
    return report_failure(resolved.error(), ExitCode::mountpoint);
  }
  if (const Status mounted = check_mounted(*resolved); !mounted) {
    return report_failure(mounted.error(), ExitCode::mountpoint);
  }
  const auto daemon = find_daemon(state_base(state_dir), *resolved);
  const UniqueFd process = daemon ? open_pid(daemon->record.pid) : UniqueFd();
  if (const Status unmounted = unmount_alive_or_dead(*resolved); !unmounted) {
    return report_failure(unmounted.error(), ExitCode::mountpoint);
  }
  if (process && !wait_for_exit(process.get(), kEndTimeoutMs)) {
    return report_failure(
        make_error(Errc::timeout,
                   concat("unmounted, but process ", daemon->record.pid, " has not ended yet")),
        ExitCode::system);
  }
  return to_int(ExitCode::ok);
}

}  // namespace cpaway::tools
