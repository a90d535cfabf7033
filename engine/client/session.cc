#include "engine/client/session.h"

#include <algorithm>
#include <future>
#include <map>
#include <thread>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "engine/client/connection.h"
#include "engine/client/repeat.h"

namespace cpaway::client {
namespace {

constexpr int64_t kFirstBackoffMs = 200;
constexpr int64_t kLastBackoffMs = 5000;
// Requests that may wait for a link that comes back; more are refused at once.
constexpr size_t kMaxParked = 16384;

// A request from submit to its answer.
struct Request {
  uint64_t number = 0;  // in the order of submit
  wire::Op op{};
  wire::Frame frame;  // moved away once it is sent, where it will not be sent again
  Priority priority = Priority::interactive;
  Requester::Done done;
  bool repeated = false;    // sent before, on a connection that broke
  int64_t deadline_ms = 0;  // monotonic; set while there is no connection
  std::shared_ptr<Connection> tried;
};
using RequestPtr = std::shared_ptr<Request>;

RequestPtr make_request(wire::Frame frame, Priority priority, Requester::Done done) {
  auto request = std::make_shared<Request>();
  request->op = static_cast<wire::Op>(frame.head[sizeof(uint32_t)]);
  request->frame = std::move(frame);
  request->priority = priority;
  request->done = std::move(done);
  return request;
}

class SessionImpl : public Session {
 public:
  explicit SessionImpl(SessionOptions options) : options_(std::move(options)) {}
  ~SessionImpl() override { SessionImpl::close(0); }

  Status start(const transport::Prompter& prompter);
  void submit(wire::Frame frame, Priority priority, Done done) override;
  const wire::Hello::Answer& hello() const override { return hello_; }
  std::string state() const override;
  void set_reopen(Reopen reopen) override;
  void close(int64_t timeout_ms) override;

 private:
  using ConnectionPtr = std::shared_ptr<Connection>;

  Result<ConnectionPtr> open_connection(const transport::Prompter& prompter,
                                        wire::Hello::Answer& answer);
  void on_lost(uint64_t generation);
  void reconnect_loop();
  void send(const RequestPtr& request);
  [[nodiscard]] bool try_send(Connection& connection, const RequestPtr& request);
  void on_answer(const RequestPtr& request, Result<wire::Incoming> answer);
  enum class Parked { no, yes, not_needed };
  [[nodiscard]] Parked park(const RequestPtr& request) CPAWAY_EXCLUDES(mutex_);
  void resume(const ConnectionPtr& connection);
  void fail_expired(int64_t now_ms);

  const SessionOptions options_;
  wire::Hello::Answer hello_;  // constant after start()

  mutable Mutex mutex_;
  CondVar changed_;
  ConnectionPtr connection_ CPAWAY_GUARDED_BY(mutex_);  // null while there is none
  // The connection that broke: destroyed by the reconnecter, since its own thread cannot join
  // itself.
  ConnectionPtr retired_ CPAWAY_GUARDED_BY(mutex_);
  uint64_t generation_ CPAWAY_GUARDED_BY(mutex_) = 0;                // of the newest connection
  uint64_t lost_generation_ CPAWAY_GUARDED_BY(mutex_) = 0;           // the last one that broke
  std::map<uint64_t, RequestPtr> parked_ CPAWAY_GUARDED_BY(mutex_);  // by number
  uint64_t next_number_ CPAWAY_GUARDED_BY(mutex_) = 0;
  Reopen reopen_ CPAWAY_GUARDED_BY(mutex_);
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
  const RequestPtr request = make_request(std::move(frame), priority, std::move(done));
  {
    const MutexLock lock(mutex_);
    request->number = next_number_++;
  }
  send(request);
}

void SessionImpl::send(const RequestPtr& request) {
  Parked parked = Parked::not_needed;
  while (parked == Parked::not_needed) {
    {
      const MutexLock lock(mutex_);
      request->tried = connection_;
    }
    if (request->tried && try_send(*request->tried, request)) {
      return;
    }
    parked = park(request);
  }
  if (parked == Parked::no) {
    refusals_.post(
        [request] { request->done(fail(Errc::connection_lost, "the mount is not connected")); });
  }
}

bool SessionImpl::try_send(Connection& connection, const RequestPtr& request) {
  const bool again = may_repeat(request->op);
  wire::Frame frame = again ? request->frame : std::move(request->frame);
  Done done = [this, request](Result<wire::Incoming> answer) {
    on_answer(request, std::move(answer));
  };
  const bool taken = connection.try_submit(frame, request->priority, done);
  if (!taken && !again) {
    request->frame = std::move(frame);
  }
  return taken;
}

// Until there is another connection than the one it was tried on. There may be one by now: who has
// emptied the park does not look again.
SessionImpl::Parked SessionImpl::park(const RequestPtr& request) {
  const MutexLock lock(mutex_);
  if (closing_ || parked_.size() >= kMaxParked) {
    return Parked::no;
  }
  if (connection_ && connection_ != request->tried) {
    return Parked::not_needed;
  }
  if (request->deadline_ms == 0) {
    request->deadline_ms =
        options_.timeout_ms == 0 ? INT64_MAX : system_clock().now_ms() + options_.timeout_ms;
  }
  parked_.emplace(request->number, request);
  changed_.notify_all();
  return Parked::yes;
}

void SessionImpl::on_answer(const RequestPtr& request, Result<wire::Incoming> answer) {
  if (!answer) {
    if (is_retryable(answer.error()) && may_repeat(request->op)) {
      request->repeated = true;
      const Parked parked = park(request);
      if (parked == Parked::not_needed) {
        send(request);
      }
      if (parked != Parked::no) {
        return;
      }
    }
    request->done(std::move(answer));
    return;
  }
  request->deadline_ms = 0;
  if (!std::exchange(request->repeated, false)) {
    request->done(std::move(answer));
    return;
  }
  Reading reading = read_repeated(request->frame, *answer);
  if (reading.ask) {
    request->op = wire::Op::getattr;
    request->frame = std::move(*reading.ask);
    send(request);
  } else {
    request->done(reading.answer ? std::move(*reading.answer) : std::move(answer));
  }
}

void SessionImpl::set_reopen(Reopen reopen) {
  const MutexLock lock(mutex_);
  reopen_ = std::move(reopen);
}

std::string SessionImpl::state() const {
  const MutexLock lock(mutex_);
  return connection_ ? "connected" : "reconnecting";
}

void SessionImpl::on_lost(uint64_t generation) {
  const MutexLock lock(mutex_);
  lost_generation_ = generation;  // it may be lost before it is connection_
  if (generation == generation_ && connection_) {
    retired_ = std::move(connection_);
    connection_ = nullptr;
  }
  changed_.notify_all();
}

void SessionImpl::fail_expired(int64_t now_ms) {
  std::vector<RequestPtr> expired;
  {
    const MutexLock lock(mutex_);
    std::erase_if(parked_, [&](const auto& one) {
      const bool is_late = one.second->deadline_ms <= now_ms;
      if (is_late) {
        expired.push_back(one.second);
      }
      return is_late;
    });
  }
  for (const RequestPtr& request : expired) {
    request->done(fail(Errc::timeout, "no connection to the agent"));
  }
}

// Handles first, then what waited, in the order in which it was submitted; only then what comes
// new.
void SessionImpl::resume(const ConnectionPtr& connection) {
  class Direct : public Requester {
   public:
    Direct(SessionImpl& session, Connection& connection)
        : session_(session), connection_(connection) {}
    void submit(wire::Frame frame, Priority priority, Done done) override {
      // Where it is lost again the next connection opens them anew.
      static_cast<void>(session_.try_send(
          connection_, make_request(std::move(frame), priority, std::move(done))));
    }

   private:
    SessionImpl& session_;
    Connection& connection_;
  };
  Reopen reopen;
  {
    const MutexLock lock(mutex_);
    reopen = reopen_;
  }
  if (reopen) {
    Direct direct(*this, *connection);
    reopen(direct);
  }
  const MutexLock lock(mutex_);
  while (!parked_.empty()) {
    const RequestPtr& request = parked_.begin()->second;
    request->tried = connection;
    if (!try_send(*connection, request)) {
      break;
    }
    parked_.erase(parked_.begin());
  }
  if (lost_generation_ != generation_) {
    connection_ = connection;
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
      resume(*connection);
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
  std::map<uint64_t, RequestPtr> parked;
  {
    const MutexLock lock(mutex_);
    closing_ = true;
    connection = std::move(connection_);
    connection_ = nullptr;
    parked.swap(parked_);
    changed_.notify_all();
  }
  for (const auto& [number, request] : parked) {
    request->done(fail(Errc::connection_lost, "the mount is being closed"));
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
