#include "tests/engine/agent/agent_client.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/base/check.h"
#include "engine/wire/names.h"

namespace cpaway::testing {

AgentClient::AgentClient(agent::Options options, uint32_t uid) {
  int pair[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  client_.reset(pair[0]);
  server_.reset(pair[1]);
  thread_ = std::thread([this, options = std::move(options), uid] {
    if (uid != 0) {  // the bare calls change this thread, and those it makes, and no other
      CHECK(::syscall(SYS_setgroups, 0, nullptr) == 0);
      CHECK(::syscall(SYS_setresgid, -1, uid, -1) == 0);
      CHECK(::syscall(SYS_setresuid, -1, uid, -1) == 0);
    }
    agent::Server server(server_.get(), server_.get(), options);
    status_ = server.run();
    if (!status_) {
      ::shutdown(server_.get(), SHUT_RDWR);  // as a process that ends
    }
  });
  Bytes marker(wire::kStartMarker.size());
  CHECK(read_full(client_.get(), marker).value() == marker.size());
  CHECK(as_text(marker) == wire::kStartMarker);
}

AgentClient::~AgentClient() {
  ignore(finish(), "the test has looked, where it matters");
}

Status AgentClient::finish() {
  ::shutdown(client_.get(), SHUT_WR);
  if (thread_.joinable()) {
    thread_.join();
  }
  return status_;
}

Result<wire::Hello::Answer> AgentClient::hello(const std::string& directory, bool sync_commit) {
  wire::Hello hello;
  hello.directory = directory;
  hello.sync_commit = sync_commit;
  return call(hello);
}

void AgentClient::send_frame(const wire::Frame& frame) {
  send_raw(frame.head);
  if (frame.bulk) {
    send_raw(*frame.bulk);
  }
}

void AgentClient::send_raw(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) {
      return;  // the server has gone; the test sees it in the answer
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

Result<wire::Incoming> AgentClient::receive() {
  for (;;) {
    CPAWAY_ASSIGN(auto frame, frames_.next());
    if (frame) {
      return std::move(*frame);
    }
    const auto space = frames_.space();
    const ssize_t n = ::recv(client_.get(), space.data(), space.size(), 0);
    if (n <= 0) {
      return fail(Errc::connection_lost, "the agent has ended");
    }
    frames_.filled(static_cast<size_t>(n));
  }
}

Result<wire::Incoming> AgentClient::wait(uint32_t id) {
  for (;;) {
    if (auto node = early_.extract(id)) {
      return std::move(node.mapped());
    }
    CPAWAY_TRY(wait_any());
  }
}

Result<uint32_t> AgentClient::wait_any() {
  CPAWAY_ASSIGN(wire::Incoming frame, receive());
  const uint32_t id = frame.id;
  early_.emplace(id, std::move(frame));
  return id;
}

wire::Block block_of(uint32_t transfer, uint64_t offset, ByteSpan bytes) {
  return {transfer, offset, hash::block_hash(bytes)};
}

wire::Placement place_at(const std::string& path) {
  wire::Placement placement;
  placement.path = path;
  return placement;
}

Result<wire::CommitAnswer> upload(AgentClient& client, uint32_t transfer,
                                  const wire::Placement& placement, ByteSpan content) {
  CPAWAY_TRY(client.call(wire::Init{transfer, placement.path, {}}));
  for (size_t at = 0; at < content.size(); at += wire::kBlockSize) {
    const ByteSpan block =
        content.subspan(at, std::min<size_t>(wire::kBlockSize, content.size() - at));
    CPAWAY_TRY(
        client.call(block_of(transfer, at, block), shared(Bytes(block.begin(), block.end()))));
  }
  wire::Commit commit;
  commit.transfer = transfer;
  commit.size = content.size();
  commit.sha256 = hash::sha256(content);
  commit.placement = placement;
  return client.call(commit);
}

Result<wire::Attr> open_file(AgentClient& client, uint32_t handle, const std::string& path,
                             uint32_t flags, uint32_t mode) {
  return client.call(wire::Open{handle, path, flags, mode});
}

Result<wire::Write::Answer> write_block(AgentClient& client, uint32_t handle, uint64_t offset,
                                        ByteSpan bytes) {
  return client.call(wire::Write{handle, offset, hash::block_hash(bytes)},
                     shared(Bytes(bytes.begin(), bytes.end())));
}

namespace {

std::vector<std::string> list(const std::string& directory, bool staging) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (wire::is_staging_name(name) == staging) {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::vector<std::string> names_in(const std::string& directory) {
  return list(directory, false);
}

std::vector<std::string> staging_in(const std::string& directory) {
  return list(directory, true);
}

}  // namespace cpaway::testing
