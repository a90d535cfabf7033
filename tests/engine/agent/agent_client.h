// The agent's server on a thread of the test, and a client that waits for each answer.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "engine/agent/server.h"
#include "engine/base/fd.h"
#include "engine/wire/pack.h"
#include "tests/support/random_bytes.h"

namespace cpaway::testing {

inline SharedBytes shared(std::string_view text) {
  return std::make_shared<const Bytes>(text.begin(), text.end());
}
inline SharedBytes shared(Bytes bytes) {
  return std::make_shared<const Bytes>(std::move(bytes));
}

class AgentClient {
 public:
  // With `uid`, the server's threads alone act as that user (and group); needs root.
  explicit AgentClient(agent::Options options = {}, uint32_t uid = 0);
  // Ends the server, whatever its status.
  ~AgentClient();
  AgentClient(const AgentClient&) = delete;
  AgentClient& operator=(const AgentClient&) = delete;

  [[nodiscard]] Result<wire::Hello::Answer> hello(const std::string& directory,
                                                  bool sync_commit = false);

  // Sends without waiting; returns the request's id.
  template <class Request>
  uint32_t send(const Request& request, SharedBytes bulk = nullptr) {
    const uint32_t id = ++last_id_;
    send_frame(wire::pack(id, request, std::move(bulk)));
    return id;
  }
  void send_frame(const wire::Frame& frame);
  void send_raw(ByteSpan bytes);

  // The answer's frame, with what came before it kept for later.
  [[nodiscard]] Result<wire::Incoming> wait(uint32_t id);
  // The answer's fields; `bulk` gets what follows them.
  template <class Request>
  [[nodiscard]] Result<typename Request::Answer> wait_for(uint32_t id, Bytes* bulk = nullptr) {
    CPAWAY_ASSIGN(const wire::Incoming frame, wait(id));
    ByteSpan body = frame.body();
    if (frame.op == wire::Op::reply) {
      CPAWAY_ASSIGN(body, wire::open_reply(body));
    }
    ByteSpan rest;
    CPAWAY_ASSIGN(auto answer,
                  wire::unpack<typename Request::Answer>(body, bulk != nullptr ? &rest : nullptr));
    if (bulk != nullptr) {
      bulk->assign(rest.begin(), rest.end());
    }
    return answer;
  }
  template <class Request>
  [[nodiscard]] Result<typename Request::Answer> call(const Request& request,
                                                      SharedBytes payload = nullptr,
                                                      Bytes* bulk = nullptr) {
    return wait_for<Request>(send(request, std::move(payload)), bulk);
  }
  // Id of the frame that arrives next.
  [[nodiscard]] Result<uint32_t> wait_any();

  // Closes the client's sending half and returns how the server ended.
  Status finish();

 private:
  [[nodiscard]] Result<wire::Incoming> receive();

  UniqueFd client_;
  UniqueFd server_;
  Status status_;
  std::thread thread_;
  wire::FrameReader frames_;
  std::map<uint32_t, wire::Incoming> early_;
  uint32_t last_id_ = 0;
};

// errno of a failed result, 0 of a good one, -1 of one that failed otherwise.
template <class T>
[[nodiscard]] int errno_of(const Result<T>& result) {
  if (result) {
    return 0;
  }
  return result.error().code == Errc::os ? result.error().os_errno : -1;
}

// ---- whole steps that many tests take

[[nodiscard]] wire::Block block_of(uint32_t transfer, uint64_t offset, ByteSpan bytes);
[[nodiscard]] wire::Placement place_at(const std::string& path);
// init, blocks and commit of `content`, one after the other.
[[nodiscard]] Result<wire::CommitAnswer> upload(AgentClient& client, uint32_t transfer,
                                                const wire::Placement& placement, ByteSpan content);
[[nodiscard]] Result<wire::Attr> open_file(AgentClient& client, uint32_t handle,
                                           const std::string& path, uint32_t flags,
                                           uint32_t mode = 0644);
[[nodiscard]] Result<wire::Write::Answer> write_block(AgentClient& client, uint32_t handle,
                                                      uint64_t offset, ByteSpan bytes);
// Names in a directory, without staging files and sorted, as the local system sees them; and the
// staging files.
[[nodiscard]] std::vector<std::string> names_in(const std::string& directory);
[[nodiscard]] std::vector<std::string> staging_in(const std::string& directory);

}  // namespace cpaway::testing
