// SIGINT, SIGTERM and SIGHUP end a mount in order: unmounted, commits awaited, nothing left.
//
// A signal again after a second ends the process at once. One per process.
#pragma once

#include "fs/mount.h"

namespace cpaway::tools {

class StopSignals {
 public:
  StopSignals() = default;
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // From now on a signal is kept: a mount that is just being made must not be left behind. SIGHUP
  // stays ignored where it was (nohup); SIGINT does not, which shells ignore for what runs behind
  // "&" and which is then sent on purpose.
  void hold();
  // From now on a signal stops `mount`, until forget().
  void watch(fs::Mount& mount);
  void forget();
  // True once a signal has come.
  [[nodiscard]] bool requested() const;
};

}  // namespace cpaway::tools
