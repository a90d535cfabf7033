// The mount's line to its agent, which outlives any one connection.
//
// Owns the I/O thread (in Connection) and starts a new connection when one breaks. Meanwhile
// requests wait, `timeout_ms` at most, then they fail with Errc::timeout. Those whose answer was
// lost are asked again (repeat.h), but for the ones that open handles and those of transfers, which
// fail with Errc::connection_lost: their owners know what has to come first.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "engine/base/result.h"
#include "engine/client/bootstrap.h"
#include "engine/client/requester.h"
#include "engine/transport/transport.h"
#include "engine/wire/message.h"

namespace cpaway::client {

struct SessionOptions {
  transport::LoginOptions login;
  bool local = false;  // tests: local_transport instead of SSH
  AgentOptions agent;
  std::string directory;        // on the remote host; "" is the login directory
  bool sync_commit = false;     // sync=commit
  int64_t timeout_ms = 60'000;  // how long requests wait for a lost link; 0: for ever
};

class Session : public Requester {
 public:
  // Connects, logs in, starts the agent and says hello, all on the calling thread, which may be
  // asked through `prompter` (later reconnects do not ask).
  [[nodiscard]] static Result<std::unique_ptr<Session>> connect(
      const SessionOptions& options, const transport::Prompter& prompter);

  [[nodiscard]] virtual const wire::Hello::Answer& hello() const = 0;
  // Called after each new connection but the first, before anything that waits is sent: opens the
  // handles again, by the requester given. On a thread of the session's; must not block.
  using Reopen = std::function<void(Requester&)>;
  virtual void set_reopen(Reopen reopen) = 0;
  // "connected", "reconnecting".
  [[nodiscard]] virtual std::string state() const = 0;
  // Ends the agent: its standard input is closed and its exit awaited for `timeout_ms` at most.
  // Requests after that fail.
  virtual void close(int64_t timeout_ms) = 0;
};

}  // namespace cpaway::client
