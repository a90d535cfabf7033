#include "engine/client/session.h"

#include <algorithm>
#include <deque>
#include <future>
#include <thread>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "engine/client/connection.h"

namespace cpaway::client {
namespace {

constexpr int64_t kFirstBackoffMs = 200;
constexpr int64_t kLastBackoffMs = 5000;
// Requests that may wait for a link that comes back; more are refused at once.
constexpr size_t kMaxParked = 16384;

struct Parked {
  wire::Frame frame;
  Priority priority;
  Requester::Done done;
  int64_t deadline_ms;  // monotonic
};

class SessionImpl : public Session {
 public:
  explicit SessionImpl(SessionOptions options) : options_(std::move(options)) {}
  ~SessionImpl() override { SessionImpl::close(0); }

  Status start(const transport::Prompter& prompter);
  void submit(wire::Frame frame, Priority priority, Done done) override;
  const wire::Hello::Answer& hello() const override { return hello_; }
  std::string state() const override;
  void close(int64_t timeout_ms) override;

 private:
  using ConnectionPtr = std::shared_ptr<Connection>;

  Result<ConnectionPtr> open_connection(const transport::Prompter& prompter,
                                        wire::Hello::Answer& answer);
  void on_lost(uint64_t generation);
  void reconnect_loop();
  void resubmit_parked(const ConnectionPtr& connection);
  void fail_expired(int64_t now_ms);

  const SessionOptions options_;
  wire::Hello::Answer hello_;  // constant after start()

  mutable Mutex mutex_;
  CondVar changed_;
  ConnectionPtr connection_ CPAWAY_GUARDED_BY(mutex_);  // null while there is none
  // The connection that broke: destroyed by the reconnecter, since its own thread cannot join
  // itself.
  ConnectionPtr retired_ CPAWAY_GUARDED_BY(mutex_);
  uint64_t generation_ CPAWAY_GUARDED_BY(mutex_) = 0;
  std::deque<Parked> parked_ CPAWAY_GUARDED_BY(mutex_);
  bool closing_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread reconnecter_;
  // Answers that must not be given inside submit: one thread.
  Executor refusals_{"cpaway-refuse", 1};
};

// Says hello and waits for the answer, on the calling thread.
Result<wire::Hello::Answer> say_hello(Connection& connection, const SessionOptions& options) {
  using Answer = Result<wire::Hello::Answer>;
  auto promise = std::make_shared<std::promise<Answer>>();
  auto answer = promise->get_future();
  wire::Hello hello;
  hello.directory = options.directory;
  hello.sync_commit = options.sync_commit;
  wire::Frame frame = wire::pack(0, hello);
  Requester::Done done = [promise](Result<wire::Incoming> incoming) {
    auto opened = open_answer<wire::Hello::Answer>(std::move(incoming));
    if (opened) {
      promise->set_value(std::move(opened->answer));
    } else {
      promise->set_value(fail(std::move(opened).error()));
    }
  };
  if (!connection.try_submit(frame, Priority::interactive, done)) {
    return fail(Errc::connection_lost, "the agent ended at once");
  }
  if (answer.wait_for(std::chrono::milliseconds(options.login.timeout_ms)) !=
      std::future_status::ready) {
    return fail(Errc::timeout, "the agent does not answer");
  }
  return answer.get();
}

Result<SessionImpl::ConnectionPtr> SessionImpl::open_connection(const transport::Prompter& prompter,
                                                                wire::Hello::Answer& answer) {
  std::unique_ptr<transport::Transport> transport;
  if (options_.local) {
    transport = transport::local_transport();
  } else {
    CPAWAY_ASSIGN(transport, transport::connect(options_.login, prompter));
  }
  CPAWAY_ASSIGN(auto stream, start_agent(*transport, options_.agent, options_.login.timeout_ms));
  uint64_t generation = 0;
  {
    const MutexLock lock(mutex_);
    generation = ++generation_;
  }
  CPAWAY_ASSIGN(std::unique_ptr<Connection> connection,
                Connection::create(std::move(transport), std::move(stream),
                                   [this, generation](const Error&) { on_lost(generation); }));
  CPAWAY_ASSIGN(answer, say_hello(*connection, options_));
  if (answer.version != wire::kVersion) {
    return fail(Errc::version, concat("the agent chose protocol version ", answer.version));
  }
  return ConnectionPtr(std::move(connection));
}

Status SessionImpl::start(const transport::Prompter& prompter) {
  CPAWAY_ASSIGN(ConnectionPtr connection, open_connection(prompter, hello_));
  {
    const MutexLock lock(mutex_);
    connection_ = std::move(connection);
  }
  reconnecter_ = std::thread([this] { reconnect_loop(); });
  return {};
}

void SessionImpl::submit(wire::Frame frame, Priority priority, Done done) {
  ConnectionPtr connection;
  {
    const MutexLock lock(mutex_);
    connection = connection_;
  }
  if (connection && connection->try_submit(frame, priority, done)) {
    return;
  }
  const MutexLock lock(mutex_);
  if (closing_ || parked_.size() >= kMaxParked) {
    refusals_.post([done = std::move(done)] {
      done(fail(Errc::connection_lost, "the mount is not connected"));
    });
    return;
  }
  const int64_t deadline_ms =
      options_.timeout_ms == 0 ? INT64_MAX : system_clock().now_ms() + options_.timeout_ms;
  parked_.push_back(Parked{std::move(frame), priority, std::move(done), deadline_ms});
  changed_.notify_all();
}

std::string SessionImpl::state() const {
  const MutexLock lock(mutex_);
  return connection_ ? "connected" : "reconnecting";
}

void SessionImpl::on_lost(uint64_t generation) {
  const MutexLock lock(mutex_);
  if (generation == generation_) {
    retired_ = std::move(connection_);
    connection_ = nullptr;
    changed_.notify_all();
  }
}

void SessionImpl::fail_expired(int64_t now_ms) {
  std::deque<Parked> expired;
  {
    const MutexLock lock(mutex_);
    const auto first = std::stable_partition(
        parked_.begin(), parked_.end(),
        [now_ms](const Parked& parked) { return parked.deadline_ms > now_ms; });
    std::move(first, parked_.end(), std::back_inserter(expired));
    parked_.erase(first, parked_.end());
  }
  for (Parked& parked : expired) {
    parked.done(fail(Errc::timeout, "no connection to the agent"));
  }
}

void SessionImpl::resubmit_parked(const ConnectionPtr& connection) {
  std::deque<Parked> parked;
  {
    const MutexLock lock(mutex_);
    parked.swap(parked_);
    connection_ = connection;
  }
  for (Parked& one : parked) {
    submit(std::move(one.frame), one.priority, std::move(one.done));
  }
}

void SessionImpl::reconnect_loop() {
  int64_t backoff_ms = kFirstBackoffMs;
  for (;;) {
    ConnectionPtr retired;
    {
      const MutexLock lock(mutex_);
      while (connection_ && !closing_) {
        changed_.wait(mutex_);
      }
      if (closing_) {
        return;
      }
      retired.swap(retired_);
    }
    retired.reset();
    wire::Hello::Answer answer;
    auto connection = open_connection(nullptr, answer);
    if (connection) {
      log::info("connected again");
      backoff_ms = kFirstBackoffMs;
      resubmit_parked(*connection);
      continue;
    }
    log::debug("reconnect: ", connection.error().to_string());
    const int64_t next_ms = system_clock().now_ms() + backoff_ms;
    for (int64_t now_ms = 0; (now_ms = system_clock().now_ms()) < next_ms;) {
      fail_expired(now_ms);
      const MutexLock lock(mutex_);
      if (closing_) {
        return;
      }
      changed_.wait_for_ms(mutex_, std::min<int64_t>(next_ms - now_ms, 100));
    }
    backoff_ms = std::min(backoff_ms * 2, kLastBackoffMs);
  }
}

void SessionImpl::close(int64_t timeout_ms) {
  ConnectionPtr connection;
  ConnectionPtr retired;
  std::deque<Parked> parked;
  {
    const MutexLock lock(mutex_);
    closing_ = true;
    connection = std::move(connection_);
    connection_ = nullptr;
    parked.swap(parked_);
    changed_.notify_all();
  }
  for (Parked& one : parked) {
    one.done(fail(Errc::connection_lost, "the mount is being closed"));
  }
  if (reconnecter_.joinable()) {
    reconnecter_.join();
  }
  {
    const MutexLock lock(mutex_);
    retired.swap(retired_);
  }
  if (connection && timeout_ms > 0) {
    connection->close(timeout_ms);
  }
}

}  // namespace

Result<std::unique_ptr<Session>> Session::connect(const SessionOptions& options,
                                                  const transport::Prompter& prompter) {
  auto session = std::make_unique<SessionImpl>(options);
  CPAWAY_TRY(session->start(prompter));
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace cpaway::client
