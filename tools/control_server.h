// The daemon's side of `cpaway status` and its like: a Unix socket in the state directory. A client
// sends one line (tools/control_request.h), or none, and reads one JSON object to the end.
//
// Owns one thread, which reads one request at a time and waits for none longer than a fraction of a
// second; an answer may come later, from any thread. Who may connect is decided by the state
// directory's mode (0700).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "engine/base/fd.h"
#include "engine/base/result.h"

namespace cpaway::tools {

// A client that waits. Copies share it; once they are all gone it sees the end of the stream.
class ControlReply {
 public:
  explicit ControlReply(UniqueFd connection)
      : connection_(std::make_shared<UniqueFd>(std::move(connection))) {}
  // The answer, once. Waits a second at most for a client that does not read.
  void send(std::string_view text) const;

 private:
  std::shared_ptr<UniqueFd> connection_;
};

class ControlServer {
 public:
  // Gets the line without its end; "" from a client that sent none. Must not wait for the network.
  using Handler = std::function<void(const std::string& request, const ControlReply& reply)>;

  // Listens on `control.sock` in the directory open as `directory`. `handler` is called on the
  // server's thread until the server is destroyed.
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> start(int directory, Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(UniqueFd listener, UniqueFd stop, Handler handler);
  void run();
  void serve_one();

  const UniqueFd listener_;
  const UniqueFd stop_;  // an eventfd, readable once the thread is to end
  const Handler handler_;
  std::thread thread_;
};

}  // namespace cpaway::tools
