// The daemon's side of `cpaway status`: a Unix socket in the state directory that answers every
// connection with one JSON object (tools/mount_status.h) and closes it.
//
// Owns one thread, which serves one connection at a time and waits for none longer than a second.
// Who may connect is decided by the state directory's mode (0700).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/fd.h"
#include "engine/base/result.h"

namespace cpaway::tools {

class ControlServer {
 public:
  // Listens on `control.sock` in the directory open as `directory`. `answer` is called on the
  // server's thread until the server is destroyed.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> start(
      int directory, std::function<std::string()> answer);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(UniqueFd listener, UniqueFd stop, std::function<std::string()> answer);
  void run();
  void serve_one();

  const UniqueFd listener_;
  const UniqueFd stop_;  // an eventfd, readable once the thread is to end
  const std::function<std::string()> answer_;
  std::thread thread_;
};

}  // namespace cpaway::tools
