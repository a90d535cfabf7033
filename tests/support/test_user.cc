#include "tests/support/test_user.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>

#include "engine/base/check.h"
#include "engine/base/fd.h"
#include "tests/support/run_command.h"

namespace cpaway::testing {
namespace {

// useradd itself fails, rather than waits, while another one runs.
UniqueFd lock_users() {
  UniqueFd lock(open("/run/lock/cpaway-test-users", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  CHECK(lock && flock(lock.get(), LOCK_EX) == 0);
  return lock;
}

std::string password_hash(const std::string& name) {
  if (name != kPasswordUser) {
    return "*";  // no password fits, and the account is not locked
  }
  const Finished hash = run_command({"openssl", "passwd", "-6", kTestPassword});
  CHECK(hash.exit_status == 0);
  return hash.out.substr(0, hash.out.find('\n'));
}

}  // namespace

TestUser test_user(const std::string& name) {
  const UniqueFd lock = lock_users();
  if (getpwnam(name.c_str()) == nullptr) {
    must_run({"useradd", "-m", "-s", "/bin/sh", name});
    must_run({"usermod", "-p", password_hash(name), name});
  }
  const passwd* entry = getpwnam(name.c_str());
  CHECK(entry != nullptr);
  return {name, entry->pw_uid, entry->pw_gid, entry->pw_dir};
}

}  // namespace cpaway::testing
