#include "engine/client/connection.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "engine/base/log.h"

namespace cpaway::client {
namespace {

// One call reads at most this often from the stream before it looks after sending again.
constexpr int kReadsPerTurn = 32;

}  // namespace

Result<std::unique_ptr<Connection>> Connection::create(
    std::unique_ptr<transport::Transport> transport, std::unique_ptr<Stream> stream,
    OnLost on_lost) {
  std::unique_ptr<Connection> connection(
      new Connection(std::move(transport), std::move(stream), std::move(on_lost)));
  connection->wake_fd_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!connection->wake_fd_) {
    return fail_os(errno, "eventfd");
  }
  connection->last_heard_ms_ = system_clock().now_ms();
  connection->last_sent_ms_ = connection->last_heard_ms_;
  connection->thread_ = std::thread([raw = connection.get()] {
    pthread_setname_np(pthread_self(), "cpaway-io");
    raw->run();
  });
  return connection;
}

Connection::Connection(std::unique_ptr<transport::Transport> transport,
                       std::unique_ptr<Stream> stream, OnLost on_lost)
    : transport_(std::move(transport)), stream_(std::move(stream)), on_lost_(std::move(on_lost)) {}

Connection::~Connection() {
  stop();
}

void Connection::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Connection::wake() {
  const uint64_t one = 1;
  // A full counter already wakes the reader.
  [[maybe_unused]] const ssize_t n = ::write(wake_fd_.get(), &one, sizeof one);
}

bool Connection::try_submit(wire::Frame& frame, Priority priority, Requester::Done& done) {
  bool asleep = false;
  {
    const MutexLock lock(mutex_);
    if (lost_ || closing_ || stopping_) {
      return false;
    }
    uint32_t id = next_id_++;
    while (waiting_.contains(id)) {
      id = next_id_++;
    }
    store_be(frame.head.data() + wire::kFrameHeaderSize, id);
    waiting_.emplace(id, std::move(done));
    queues_[static_cast<size_t>(priority)].push_back(std::move(frame));
    asleep = std::exchange(asleep_, false);
  }
  if (asleep) {
    wake();
  }
  return true;
}

void Connection::close(int64_t timeout_ms) {
  const int64_t deadline_ms = system_clock().now_ms() + timeout_ms;
  {
    const MutexLock lock(mutex_);
    closing_ = true;
  }
  wake();
  {
    const MutexLock lock(mutex_);
    int64_t left_ms = timeout_ms;
    while (!lost_ && left_ms > 0) {
      ended_.wait_for_ms(mutex_, left_ms);
      left_ms = deadline_ms - system_clock().now_ms();
    }
    if (!lost_) {
      log::warning("the agent did not end within ", timeout_ms, " ms");
    }
  }
  stop();
}

void Connection::run() {
  Status status;
  do {
    status = serve();
  } while (status);
  bool expected = false;
  {
    const MutexLock lock(mutex_);
    expected = closing_ || stopping_;
  }
  Error error = std::move(status).error();
  if (!expected) {
    const std::string said = stream_->take_stderr();
    if (!said.empty()) {
      error = with_context(std::move(error), said);
    }
    log::warning("connection to the agent lost: ", error.to_string());
  }
  fail_all(error);
  stream_.reset();
  transport_.reset();
  {
    const MutexLock lock(mutex_);
    lost_ = true;
    ended_.notify_all();
  }
  if (!expected) {
    on_lost_(error);
  }
}

// One turn: send what can be sent, read what is there, sleep until there is more of either.
Status Connection::serve() {
  CPAWAY_TRY(send_queued());
  CPAWAY_TRY(receive());
  CPAWAY_TRY(check_silence());
  bool idle = false;
  {
    const MutexLock lock(mutex_);
    if (stopping_) {
      return fail(Errc::connection_lost, "closed");
    }
    idle = queues_[0].empty() && queues_[1].empty();
    if (idle && closing_ && !current_ && !std::exchange(input_closed_, true)) {
      stream_->close_write();
    }
    asleep_ = true;
  }
  // A frame that cannot go out now waits for room; a queue that filled meanwhile needs no sleep.
  const bool ready = !current_ && !idle;
  CPAWAY_TRY(stream_->wait(current_.has_value(), wake_fd_.get(), ready ? 0 : 1000));
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_fd_.get(), &count, sizeof count);
  const MutexLock lock(mutex_);
  asleep_ = false;
  return {};
}

Status Connection::send_queued() {
  bool blocked = false;
  while (!blocked && (current_ || take_next())) {
    CPAWAY_TRY(send_current(blocked));
  }
  return {};
}

bool Connection::take_next() {
  const MutexLock lock(mutex_);
  for (auto& queue : queues_) {
    if (!queue.empty()) {
      current_ = Outgoing{std::move(queue.front()), 0};
      queue.pop_front();
      return true;
    }
  }
  return false;
}

Status Connection::send_current(bool& blocked) {
  while (current_->sent < current_->frame.size()) {
    const wire::Frame& frame = current_->frame;
    const ByteSpan part = current_->sent < frame.head.size()
                              ? ByteSpan(frame.head).subspan(current_->sent)
                              : ByteSpan(*frame.bulk).subspan(current_->sent - frame.head.size());
    CPAWAY_ASSIGN(const size_t taken, stream_->write_some(part));
    if (taken == 0) {
      blocked = true;
      return {};
    }
    current_->sent += taken;
    last_sent_ms_ = system_clock().now_ms();
  }
  current_.reset();
  return {};
}

Status Connection::receive() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    CPAWAY_ASSIGN(const size_t got, stream_->read_some(reader_.space()));
    if (got == 0) {
      return {};
    }
    last_heard_ms_ = system_clock().now_ms();
    ping_sent_ = false;
    reader_.filled(got);
    CPAWAY_ASSIGN(auto frame, reader_.next());
    if (frame) {
      CPAWAY_TRY(dispatch(std::move(*frame)));
    }
  }
  return {};
}

Status Connection::dispatch(wire::Incoming frame) {
  if (frame.op != wire::Op::reply && frame.op != wire::Op::ack) {
    return fail(Errc::protocol, concat("the agent sent ", wire::op_name(frame.op)));
  }
  Requester::Done done;
  {
    const MutexLock lock(mutex_);
    const auto found = waiting_.find(frame.id);
    if (found == waiting_.end()) {
      return fail(Errc::protocol, "the agent answered what was not asked");
    }
    done = std::move(found->second);
    waiting_.erase(found);
  }
  done(std::move(frame));
  return {};
}

Status Connection::check_silence() {
  const int64_t now_ms = system_clock().now_ms();
  const int64_t silent_ms = now_ms - last_heard_ms_;
  if (silent_ms < kPingAfterMs && now_ms - last_sent_ms_ < kPingAfterMs) {
    return {};
  }
  if (silent_ms > 3 * kPingAfterMs && ping_sent_) {
    return fail(Errc::connection_lost, concat("nothing heard for ", silent_ms / 1000, " s"));
  }
  if (!std::exchange(ping_sent_, true)) {
    wire::Frame ping = wire::pack(0, wire::Ping{});
    Requester::Done done = [](const Result<wire::Incoming>& /*answer*/) {};
    if (!try_submit(ping, Priority::interactive, done)) {
      return {};  // closing: the end of the stream comes by itself
    }
  }
  return {};
}

void Connection::fail_all(const Error& error) {
  std::unordered_map<uint32_t, Requester::Done> waiting;
  current_.reset();  // its block counts in the window
  {
    const MutexLock lock(mutex_);
    lost_ = true;
    waiting.swap(waiting_);
    queues_[0].clear();
    queues_[1].clear();
  }
  Error lost = error;
  lost.code = Errc::connection_lost;
  lost.os_errno = 0;
  for (auto& [id, done] : waiting) {
    done(fail(lost));
  }
}

}  // namespace cpaway::client
