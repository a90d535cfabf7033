#include "tests/support/in_process_agent.h"

#include <sys/socket.h>

#include <array>
#include <csignal>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "tests/support/fd_stream.h"

namespace cpaway::testing {
namespace {

// A login that has already happened.
class NoTransport : public transport::Transport {
 public:
  Result<std::unique_ptr<Stream>> exec(const std::string& /*command*/) override {
    return fail(Errc::unsupported, "exec");
  }
};

// The agent prints its start marker; start_agent() would have read it.
void skip_marker(int fd) {
  std::array<uint8_t, wire::kStartMarker.size()> marker{};
  const auto got = read_full(fd, marker);
  CHECK(got && *got == marker.size());
}

}  // namespace

InProcessAgent::InProcessAgent(const std::string& directory) {
  std::array<int, 2> fds{};
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
  ::signal(SIGPIPE, SIG_IGN);  // as cpaway-agent does
  UniqueFd client_end(fds[0]);
  agent_end_.reset(fds[1]);
  server_ = std::thread([fd = fds[1]] {
    agent::Server server(fd, fd, {});
    if (const Status ended = server.run(); !ended) {
      log::error("agent: ", ended.error().to_string());
    }
    ::shutdown(fd, SHUT_RDWR);  // as the exit of a process would
  });
  skip_marker(client_end.get());
  auto connection = client::Connection::create(std::make_unique<NoTransport>(),
                                               std::make_unique<FdStream>(std::move(client_end)),
                                               [](const Error& /*tests look at what failed*/) {});
  CHECK(connection.has_value());
  connection_ = std::move(*connection);
  wire::Hello hello;
  hello.directory = directory;
  auto answer = ask(*this, hello);
  CHECK(answer.has_value());
  hello_ = std::move(answer->answer);
}

InProcessAgent::~InProcessAgent() {
  close();
}

void InProcessAgent::close() {
  if (server_.joinable()) {
    connection_->close(5000);
    ::shutdown(agent_end_.get(), SHUT_RDWR);
    server_.join();
  }
}

void InProcessAgent::submit(wire::Frame frame, client::Priority priority, Done done) {
  if (!connection_->try_submit(frame, priority, done)) {
    // A test that goes on after disconnect(): the one place where an answer comes inside submit.
    done(fail(Errc::connection_lost, "disconnected"));
  }
}

void InProcessAgent::disconnect() {
  ::shutdown(agent_end_.get(), SHUT_RDWR);
}

}  // namespace cpaway::testing
