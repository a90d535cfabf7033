// One connection to one agent: the I/O thread, what waits to be sent, and what waits for answers.
//
// The thread owns the transport and its stream for life. Other threads reach it through a queue and
// an eventfd. Interactive frames overtake bulk ones between frames, never inside one. The queues
// are bounded by their producers: bulk by the window of memory, interactive by what the kernel
// keeps in flight. A ping is sent into silence, and silence after it ends the connection.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>

#include "engine/base/clock.h"
#include "engine/base/fd.h"
#include "engine/base/mutex.h"
#include "engine/base/stream.h"
#include "engine/client/requester.h"
#include "engine/transport/transport.h"
#include "engine/wire/frame.h"

namespace cpaway::client {

class Connection {
 public:
  // Silence of this length, on either side, brings a ping; twice more of it with an answer due, the
  // end. An agent with locks waits for the mount's pings, too.
  static constexpr int64_t kPingAfterMs = 10'000;

  // `stream` is just behind the agent's start marker. `on_lost` is called at most once, on the I/O
  // thread, after every waiting request has been failed; not after close().
  using OnLost = std::function<void(const Error&)>;
  [[nodiscard]] static Result<std::unique_ptr<Connection>> create(
      std::unique_ptr<transport::Transport> transport, std::unique_ptr<Stream> stream,
      OnLost on_lost);
  // Ends the thread; what waits fails with Errc::connection_lost.
  ~Connection();

  // Queues a request, as Requester::submit. False where the connection is gone: then frame and
  // done are untouched, and the caller still owns the answer.
  [[nodiscard]] bool try_submit(wire::Frame& frame, Priority priority, Requester::Done& done)
      CPAWAY_EXCLUDES(mutex_);

  // Sends what is queued, closes the agent's input, and waits until the agent has gone, for
  // `timeout_ms` at most. No answer comes after it. Not on the I/O thread, once.
  void close(int64_t timeout_ms) CPAWAY_EXCLUDES(mutex_);

 private:
  struct Outgoing {
    wire::Frame frame;
    size_t sent = 0;  // of head, then of bulk
  };

  Connection(std::unique_ptr<transport::Transport> transport, std::unique_ptr<Stream> stream,
             OnLost on_lost);

  void stop() CPAWAY_EXCLUDES(mutex_);
  void run();
  [[nodiscard]] Status serve();
  [[nodiscard]] Status send_queued();
  [[nodiscard]] Status send_current(bool& blocked);
  bool take_next();
  [[nodiscard]] Status receive();
  [[nodiscard]] Status dispatch(wire::Incoming frame);
  [[nodiscard]] Status check_silence();
  void fail_all(const Error& error);
  void wake();

  std::unique_ptr<transport::Transport> transport_;  // I/O thread
  std::unique_ptr<Stream> stream_;                   // I/O thread
  const OnLost on_lost_;
  UniqueFd wake_fd_;

  // I/O thread only.
  wire::FrameReader reader_;
  std::optional<Outgoing> current_;
  int64_t last_heard_ms_ = 0;
  int64_t last_sent_ms_ = 0;
  bool ping_sent_ = false;
  bool input_closed_ = false;

  Mutex mutex_;
  CondVar ended_;
  std::array<std::deque<wire::Frame>, 2> queues_ CPAWAY_GUARDED_BY(mutex_);  // by Priority
  std::unordered_map<uint32_t, Requester::Done> waiting_ CPAWAY_GUARDED_BY(mutex_);
  uint32_t next_id_ CPAWAY_GUARDED_BY(mutex_) = 1;
  bool asleep_ CPAWAY_GUARDED_BY(mutex_) = false;    // the I/O thread needs a wake
  bool closing_ CPAWAY_GUARDED_BY(mutex_) = false;   // close() was called
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;  // give up now
  bool lost_ CPAWAY_GUARDED_BY(mutex_) = false;      // the I/O thread is done

  std::thread thread_;
};

}  // namespace cpaway::client
