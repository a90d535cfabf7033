#include "tests/e2e/real_programs.h"

namespace cpaway::testing {

void RealPrograms::SetUp() {
  MountedRemote::SetUp();
  if (!IsSkipped()) {
    mount();
    must("mkdir " + local("beside"));
  }
}

void RealPrograms::need(const std::vector<std::string>& programs) {
  for (const std::string& program : programs) {
    ASSERT_EQ(shell("command -v " + program).exit_status, 0)
        << program << " is missing: tools/install-deps --test";
  }
}

void RealPrograms::script(const std::string& text) {
  const Finished finished =
      shell("set -euo pipefail; export LC_ALL=C HOME=" + local("beside") + "; M=" + mountpoint() +
            " R=" + on_remote("") + " L=" + local("beside") + "; cd $M; " + text);
  ASSERT_EQ(finished.exit_status, 0) << text << "\n" << finished.out << finished.err << log();
}

}  // namespace cpaway::testing
