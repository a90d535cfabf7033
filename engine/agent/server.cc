#include "engine/agent/server.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "engine/agent/attr.h"
#include "engine/agent/no_signals.h"
#include "engine/base/strings.h"
#include "engine/wire/pack.h"

namespace cpaway::agent {
namespace {

// Small frames come in runs: one read takes many.
constexpr size_t kInputSize = 64UL << 10U;
// What a request costs in memory besides its payload; bounds the number of queued ones too.
constexpr size_t kRequestCost = 1024;

std::unique_ptr<Executor> make_pool() {
  const NoSignals none;
  return std::make_unique<Executor>("agent-pool", kPoolThreads);
}

Result<uint16_t> choose_version(const wire::Hello& hello) {
  if (hello.magic != wire::kMagic || hello.min_version > hello.max_version) {
    return fail(Errc::protocol, "this is no hello");
  }
  if (hello.min_version > wire::kVersion || hello.max_version < wire::kVersion) {
    return fail(Errc::version, concat("agent ", CPAWAY_VERSION, " speaks version ", wire::kVersion,
                                      ", not ", hello.min_version, " to ", hello.max_version));
  }
  return wire::kVersion;
}

}  // namespace

Server::Server(int in, int out, Options options)
    : in_(in),
      options_(std::move(options)),
      input_(kInputSize),
      replies_(out),
      executor_(make_pool()) {}

Server::~Server() {
  executor_.reset();
}

Status Server::run() {
  replies_.send({Bytes(wire::kStartMarker.begin(), wire::kStartMarker.end()), nullptr});
  for (;;) {
    CPAWAY_ASSIGN(const bool more, read_frames());
    if (!more || replies_.broken()) {
      return {};
    }
  }
}

// A client that holds locks shows that it lives, since others must not wait for ever: an error
// where it does not, or where its next agent has taken over.
Status Server::wait_while_locked() {
  if (context_ == nullptr || !context_->locks.in_use()) {
    return {};
  }
  pollfd waiting[2] = {{in_, POLLIN, 0}, {context_->locks.ended_fd(), POLLIN, 0}};
  const int ready = ::poll(waiting, 2, options_.lock_lease_ms);
  if (ready == 0) {
    return fail(Errc::timeout, concat("nothing heard for ", options_.lock_lease_ms,
                                      " ms from a mount that holds locks"));
  }
  if (ready > 0 && waiting[1].revents != 0) {
    return fail(Errc::cancelled, "another agent of this mount has taken over");
  }
  return {};
}

// One read: first into the frame that is under way, so that a block is not copied, and beyond it
// into input_.
Result<bool> Server::read_frames() {
  CPAWAY_TRY(wait_while_locked());
  const std::span<uint8_t> space = frames_.space();
  const iovec parts[2] = {{space.data(), space.size()}, {input_.data(), input_.size()}};
  const ssize_t n = ::readv(in_, parts, 2);
  if (n < 0 && errno == EAGAIN) {
    pollfd waiting{in_, POLLIN, 0};
    ::poll(&waiting, 1, -1);
    return true;
  }
  if (n < 0) {
    return errno == EINTR || errno == ECONNRESET ? Result<bool>(errno == EINTR)
                                                 : Result<bool>(fail_os(errno, "reading requests"));
  }
  if (n == 0) {
    return false;
  }
  const auto size = static_cast<size_t>(n);
  const size_t in_place = std::min(size, space.size());
  frames_.filled(in_place);
  CPAWAY_TRY(take_frames());
  CPAWAY_TRY(take_input(ByteSpan(input_).first(size - in_place)));
  return true;
}

Status Server::take_input(ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::span<uint8_t> space = frames_.space();
    const size_t size = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), size);
    bytes = bytes.subspan(size);
    frames_.filled(size);
    CPAWAY_TRY(take_frames());
  }
  return {};
}

Status Server::take_frames() {
  for (;;) {
    CPAWAY_ASSIGN(auto frame, frames_.next());
    if (!frame) {
      return {};
    }
    CPAWAY_TRY(take_request(std::move(*frame)));
  }
}

Status Server::take_request(wire::Incoming request) {
  if (request.op == wire::Op::hello && context_ == nullptr) {
    return take_hello(request);
  }
  const Route* route = find_route(request.op);
  if (context_ == nullptr || route == nullptr) {
    return fail(Errc::protocol, concat(wire::op_name(request.op), " is not expected here"));
  }
  hand_over(*route, std::move(request));
  return {};
}

// A hello whose directory cannot be opened is answered with why; the client may send another.
Status Server::take_hello(const wire::Incoming& request) {
  CPAWAY_ASSIGN(const auto hello, wire::unpack<wire::Hello>(request.body()));
  const auto version = choose_version(hello);
  if (!version) {
    replies_.send(wire::pack_error(request.id, version.error()));
    return fail(version.error());
  }
  auto root = Root::open(options_.confine, hello.directory);
  if (!root) {
    replies_.send(wire::pack_error(request.id, root.error()));
    return {};
  }
  auto context =
      std::make_unique<Context>(std::move(*root), options_.mode, hello.sync_commit, *executor_);
  const auto at = context->root.locate("");
  const auto attr = at ? read_attr(*at) : Result<wire::Attr>(fail(at.error()));
  if (!attr) {
    replies_.send(wire::pack_error(request.id, attr.error()));
    return {};
  }
  context_ = std::move(context);
  context_->locks.set_send([this](wire::Frame frame) { replies_.send(std::move(frame)); });
  wire::Hello::Answer answer;
  answer.version = *version;
  answer.agent_version = CPAWAY_VERSION;
  answer.directory = context_->root.absolute();
  answer.uid = ::geteuid();
  answer.gid = ::getegid();
  answer.root = *attr;
  answer.now = time_now();
  replies_.send(wire::pack_answer(request.id, answer));
  return {};
}

void Server::answer(wire::Frame frame) {
  if (!frame.head.empty()) {
    replies_.send(std::move(frame));
  }
}

void Server::hand_over(const Route& route, wire::Incoming request) {
  const std::optional<Strand> strand = find_strand(route, request);
  if (!strand && route.place == Place::reader) {
    answer(run_route(route, *context_, request));
    return;
  }
  const size_t cost = request.payload.size() + kRequestCost;
  queued_.take(cost);
  // A job is copyable, a frame should not be copied.
  auto job = [this, &route, cost,
              shared = std::make_shared<wire::Incoming>(std::move(request))]() mutable {
    wire::Frame frame = run_route(route, *context_, *shared);
    shared.reset();
    queued_.give_back(cost);
    answer(std::move(frame));
  };
  if (strand) {
    strand->post(std::move(job));
  } else {
    executor_->post(std::move(job));
  }
}

// The id that a message begins with; one that is malformed finds nothing and fails when unpacked.
std::optional<Strand> Server::find_strand(const Route& route, const wire::Incoming& request) {
  const ByteSpan body = request.body();
  if (route.order == Order::none || body.size() < sizeof(uint32_t)) {
    return std::nullopt;
  }
  const auto id = load_be<uint32_t>(body.data());
  return route.order == Order::of_handle ? context_->handles.strand(id)
                                         : context_->transfers.strand(id);
}

}  // namespace cpaway::agent
