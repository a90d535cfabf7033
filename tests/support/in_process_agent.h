// The real agent, served by a thread of the test program, and a connection to it.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "engine/agent/server.h"
#include "engine/client/connection.h"
#include "engine/client/requester.h"

namespace cpaway::testing {

class InProcessAgent : public client::Requester {
 public:
  // Serves `directory`; aborts the test program where that cannot be done.
  explicit InProcessAgent(const std::string& directory);
  ~InProcessAgent() override;

  void submit(wire::Frame frame, client::Priority priority, Done done) override;
  [[nodiscard]] const wire::Hello::Answer& hello() const { return hello_; }
  // Ends the agent and the connection: no answer comes after it, and what is submitted is refused.
  // Before the end of whatever takes answers.
  void close();
  // Ends the agent as a lost link would: what waits fails.
  void disconnect();

 private:
  UniqueFd agent_end_;
  std::thread server_;
  std::unique_ptr<client::Connection> connection_;
  wire::Hello::Answer hello_;
};

// Sends a request and waits for its answer.
template <class Request>
[[nodiscard]] Result<client::WithBulk<typename Request::Answer>> ask(client::Requester& agent,
                                                                     const Request& request,
                                                                     SharedBytes bulk = nullptr) {
  using Answer = Result<client::WithBulk<typename Request::Answer>>;
  auto promise = std::make_shared<std::promise<Answer>>();
  agent.submit(
      wire::pack(0, request, std::move(bulk)), client::Priority::interactive,
      [promise](Result<wire::Incoming> incoming) {
        promise->set_value(client::open_answer<typename Request::Answer>(std::move(incoming)));
      });
  return promise->get_future().get();
}

}  // namespace cpaway::testing
