// What the daemon answers on its control socket.
//
// Called on the control server's thread, which never waits for the remote host: the answer to a gc
// is sent by the thread that brings the agent's.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "engine/client/session.h"
#include "engine/upload/journal.h"
#include "fs/mount.h"
#include "tools/control_request.h"
#include "tools/control_server.h"
#include "tools/mount_options.h"

namespace cpaway::tools {

class MountControl {
 public:
  // How many transfers of earlier mounts are shown.
  static constexpr size_t kMaxEarlier = 32;

  // All outlive it. Made before the mount is used: what the journal holds then is of earlier ones.
  MountControl(const MountOptions& options, client::Session& session, fs::Mount& mount,
               upload::Journal& journal);

  void answer(const std::string& line, const ControlReply& reply);

 private:
  [[nodiscard]] std::string status_text();
  void collect(const GcRequest& request, const ControlReply& reply);

  const MountOptions& options_;
  client::Session& session_;
  fs::Mount& mount_;
  const std::vector<fs::TransferReport> earlier_;
  // One gc at a time. Shared with the one that runs, which may end after this.
  const std::shared_ptr<std::atomic<bool>> collecting_;
};

}  // namespace cpaway::tools
