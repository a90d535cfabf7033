#include "tools/unmount.h"

#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "engine/base/strings.h"
#include "tools/child_process.h"

namespace cpaway::tools {
namespace {

constexpr int kProgramTimeoutMs = 20'000;

Status run_fusermount(const std::string& mountpoint, UnmountHow how) {
  std::vector<std::string> words = {"fusermount3", "-u"};
  if (how == UnmountHow::lazily) {
    words.emplace_back("-z");
  }
  words.emplace_back("--");
  words.push_back(mountpoint);
  CPAWAY_ASSIGN(ProgramResult result, run_program(words, kProgramTimeoutMs));
  if (result.status == 0) {
    return {};
  }
  if (result.error_text.find("busy") != std::string::npos) {
    return fail_os(EBUSY, concat("mountpoint ", mountpoint));
  }
  const std::string said = result.error_text.substr(0, result.error_text.find('\n'));
  return fail(Errc::invalid,
              concat("mountpoint ", mountpoint, ": ", said.empty() ? "fusermount3 failed" : said));
}

}  // namespace

Status unmount(const std::string& mountpoint, UnmountHow how) {
  const int flags = UMOUNT_NOFOLLOW | (how == UnmountHow::lazily ? MNT_DETACH : 0);
  if (umount2(mountpoint.c_str(), flags) == 0) {
    return {};
  }
  if (errno == EPERM) {
    return run_fusermount(mountpoint, how);
  }
  return fail_os(errno, concat("mountpoint ", mountpoint));
}

}  // namespace cpaway::tools
