#include "tests/support/net_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace cpaway::testing {
namespace {

constexpr const char* kOwn = "/proc/thread-self/ns/net";

}  // namespace

NetNamespaceScope::NetNamespaceScope(const std::string& path) {
  if (path.empty()) {
    return;
  }
  before_.reset(open(kOwn, O_RDONLY | O_CLOEXEC));
  const UniqueFd other(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(before_ && other && setns(other.get(), CLONE_NEWNET) == 0);
}

NetNamespaceScope::~NetNamespaceScope() {
  CHECK(!before_ || setns(before_.get(), CLONE_NEWNET) == 0);
}

Result<UniqueFd> enter_new_net_namespace() {
  if (unshare(CLONE_NEWNET) != 0) {
    return fail_os(errno, "new network namespace");
  }
  UniqueFd fd(open(kOwn, O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_os(errno, kOwn);
  }
  return fd;
}

std::string path_of_fd(int fd) {
  return concat("/proc/", getpid(), "/fd/", fd);
}

}  // namespace cpaway::testing
