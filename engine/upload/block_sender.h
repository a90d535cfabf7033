// Sends blocks of one file and sees each through to its verified acknowledgement.
//
// A block that is put together from copies is sent as such first; where the agent's copy turns out
// to hold something else, its bytes are sent. A block whose read-back hash differs from what was
// sent is sent again, `verify_retries` times, then the sender fails for good. No two blocks in
// flight overlap, so that a resent block never undoes a newer one: a block that overlaps waits
// until what is in flight is acknowledged.
//
// A block may come with a question to the agent, what of it is there already; it is in flight while
// the answer is due, and what is lacking then takes its place.
//
// When the connection is lost, blocks are held back until the owner says resume(). What is appended
// is sent again by itself: the session waits for the next connection.
//
// Everything runs on the owner's strand. The owner keeps the sender alive while it has blocks in
// flight (the callbacks hold the owner).
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/executor.h"
#include "engine/client/requester.h"
#include "engine/hash/block_hash.h"

namespace cpaway::upload {

// How to put a block together from what the agent has.
struct Delta {
  std::vector<wire::Segment> segments;
  uint8_t coding = wire::kPlain;
  SharedBytes literals;  // coded; null where there are none
  uint64_t copied = 0;   // bytes of the block that are not literal
};

struct Extent {
  uint64_t offset = 0;
  SharedBytes data;
  std::shared_ptr<const Delta> delta;  // null: sent as it is
  bool append = false;                 // to the end of the file, wherever that is
  bool again = false;                  // the answer to it was lost

  [[nodiscard]] uint64_t end() const { return offset + data->size(); }
};

// Counters for status; any thread reads them. Bytes of blocks.
struct Progress {
  std::atomic<uint64_t> written{0};       // by the program
  std::atomic<uint64_t> sent{0};          // of content, coded; resent ones counted again
  std::atomic<uint64_t> acknowledged{0};  // verified
  std::atomic<uint64_t> matched{0};       // of these, copied from a basis
  std::atomic<uint64_t> resumed{0};       // of these, found in the staging file
};

// The agent that knew the transfer or handle has gone, whether or not we had noticed.
[[nodiscard]] bool is_lost(const Error& error);

class BlockSender {
 public:
  // Turns a block into a request, and the answer into the hash that was read back.
  using Pack = std::function<wire::Frame(const Extent&, const hash::BlockHash&)>;
  using Open = std::function<Result<hash::BlockHash>(Result<wire::Incoming>)>;
  using Event = std::function<void()>;
  // Asks what of a block the agent lacks. Either false, and the block is sent as it is, or the
  // callback is called once, on the strand and later, with parts of the block in any order.
  using Lacking = std::function<void(std::vector<Extent>)>;
  using Ask = std::function<bool(Lacking)>;
  // A block has been acknowledged; not called for one that was dropped.
  using Acknowledged = std::function<void(const Extent&, const hash::BlockHash&)>;

  BlockSender(client::Requester& agent, Strand strand, int verify_retries, Progress& progress,
              Pack pack, Open open)
      : agent_(agent),
        strand_(std::move(strand)),
        verify_retries_(verify_retries),
        progress_(progress),
        pack_(std::move(pack)),
        open_(std::move(open)) {}

  void set_acknowledged(Acknowledged acknowledged) { acknowledged_ = std::move(acknowledged); }
  // Called once when a connection is lost under blocks; without it that is a failure.
  void set_lost(Event lost) { lost_ = std::move(lost); }

  // `owner` is kept alive until the block is acknowledged. Dropped once failed. `finished`, where
  // there is one, runs when the block is acknowledged or dropped. `ask` is called when the block's
  // turn has come.
  void send(const std::shared_ptr<void>& owner, Extent block, Event finished = nullptr,
            Ask ask = nullptr);
  // Runs `event` when nothing is in flight any more, or it failed: at once where that is so now.
  // Events run in order, and blocks sent after one wait for it.
  void when_drained(const std::shared_ptr<void>& owner, Event event);
  // Holds blocks back, as after a lost connection, and sends all that are not acknowledged.
  void hold() { held_ = true; }
  void resume(const std::shared_ptr<void>& owner);

  [[nodiscard]] bool idle() const { return in_flight_.empty() && deferred_.empty(); }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  // Records the first error; later blocks are dropped, and so are those held back.
  void fail_with(Error error);
  // Forgets the error, once nothing is in flight: the next block is sent again.
  void clear_error() { error_.reset(); }

 private:
  struct InFlight {
    Extent block;
    hash::BlockHash hash{};
    int tries = 0;
    int losses = 0;
    bool sent = false;        // its answer is due, or that of its question
    uint32_t generation = 0;  // of the transfer that it was sent on
    Event finished;
  };
  using Blocks = std::map<uint64_t, InFlight>;  // by offset

  [[nodiscard]] bool ask_first(const std::shared_ptr<void>& owner, uint64_t offset, const Ask& ask);
  void replace(const std::shared_ptr<void>& owner, uint64_t offset, std::vector<Extent> parts);
  void start(const std::shared_ptr<void>& owner, InFlight& block);
  void transmit(const std::shared_ptr<void>& owner, InFlight& block);
  void on_answer(const std::shared_ptr<void>& owner, uint64_t offset, Result<hash::BlockHash> hash);
  // True where the block was sent again.
  [[nodiscard]] bool try_again(const std::shared_ptr<void>& owner, InFlight& block);
  void count_acknowledged(const InFlight& block);
  void finish(Blocks::iterator block);
  void drop_held();
  [[nodiscard]] bool overlaps(const Extent& block) const;
  void run_deferred();

  client::Requester& agent_;
  const Strand strand_;
  const int verify_retries_;
  Progress& progress_;
  const Pack pack_;
  const Open open_;
  Acknowledged acknowledged_;
  Event lost_;
  Blocks in_flight_;
  std::deque<Event> deferred_;
  bool running_deferred_ = false;
  bool held_ = false;
  uint32_t generation_ = 0;  // counts resume()
  std::optional<Error> error_;
};

}  // namespace cpaway::upload
