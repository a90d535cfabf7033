// Sends blocks of one file and sees each through to its verified acknowledgement.
//
// A block whose read-back hash differs from what was sent is sent again, `verify_retries` times,
// then the sender fails for good. No two blocks in flight overlap, so that a resent block never
// undoes a newer one: a block that overlaps waits until what is in flight is acknowledged.
//
// Everything runs on the owner's strand. The owner keeps the sender alive while it has blocks in
// flight (the callbacks hold the owner).
#pragma once

#include <atomic>
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

struct Extent {
  uint64_t offset = 0;
  SharedBytes data;

  [[nodiscard]] uint64_t end() const { return offset + data->size(); }
};

// Counters for status; any thread reads them. Bytes of blocks.
struct Progress {
  std::atomic<uint64_t> written{0};       // by the program
  std::atomic<uint64_t> sent{0};          // resent ones counted again
  std::atomic<uint64_t> acknowledged{0};  // verified
};

class BlockSender {
 public:
  // Turns a block into a request, and the answer into the hash that was read back.
  using Pack = std::function<wire::Frame(uint64_t offset, const hash::BlockHash&, SharedBytes)>;
  using Open = std::function<Result<hash::BlockHash>(Result<wire::Incoming>)>;
  using Event = std::function<void()>;

  BlockSender(client::Requester& agent, Strand strand, int verify_retries, Progress& progress,
              Pack pack, Open open)
      : agent_(agent),
        strand_(std::move(strand)),
        verify_retries_(verify_retries),
        progress_(progress),
        pack_(std::move(pack)),
        open_(std::move(open)) {}

  // `owner` is kept alive until the block is acknowledged. Dropped once failed. `finished`, where
  // there is one, runs when the block is acknowledged or dropped.
  void send(const std::shared_ptr<void>& owner, Extent block, Event finished = nullptr);
  // Runs `event` when nothing is in flight any more, or it failed: at once where that is so now.
  // Events run in order, and blocks sent after one wait for it.
  void when_drained(const std::shared_ptr<void>& owner, Event event);

  [[nodiscard]] bool idle() const { return in_flight_.empty() && deferred_.empty(); }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  // Records the first error; later blocks are dropped.
  void fail_with(Error error);
  // Forgets the error, once nothing is in flight: the next block is sent again.
  void clear_error() { error_.reset(); }

 private:
  struct InFlight {
    Extent block;
    hash::BlockHash hash{};
    int tries = 0;
    Event finished;
  };
  void transmit(const std::shared_ptr<void>& owner, const InFlight& block);
  void on_answer(const std::shared_ptr<void>& owner, uint64_t offset, Result<hash::BlockHash> hash);
  [[nodiscard]] bool overlaps(const Extent& block) const;
  void run_deferred();

  client::Requester& agent_;
  const Strand strand_;
  const int verify_retries_;
  Progress& progress_;
  const Pack pack_;
  const Open open_;
  std::map<uint64_t, InFlight> in_flight_;  // by offset
  std::deque<Event> deferred_;
  bool running_deferred_ = false;
  std::optional<Error> error_;
};

}  // namespace cpaway::upload
