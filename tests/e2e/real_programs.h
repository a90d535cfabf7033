// A mount that scripts of real programs run on.
#pragma once

#include <string>
#include <vector>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {

class RealPrograms : public MountedRemote {
 protected:
  void SetUp() override;

  // Fails, never skips, where one is missing: tools/install-deps --test installs them.
  static void need(const std::vector<std::string>& programs);
  // Runs a bash script in the mountpoint, which must end with 0 (set -e). It knows M, the
  // mountpoint, R, that directory on the remote host, and L, a local one.
  void script(const std::string& text);
};

}  // namespace cpaway::testing
