#include "engine/upload/block_sender.h"

#include <utility>

#include "engine/base/log.h"

namespace cpaway::upload {

void BlockSender::send(const std::shared_ptr<void>& owner, Extent block, Event finished) {
  if (error_) {
    if (finished) {
      finished();
    }
    return;
  }
  if ((!deferred_.empty() && !running_deferred_) || overlaps(block)) {
    deferred_.emplace_back(
        [this, owner, block = std::move(block), finished = std::move(finished)]() mutable {
          send(owner, std::move(block), std::move(finished));
        });
    return;
  }
  InFlight in_flight{std::move(block), {}, 0, std::move(finished)};
  in_flight.hash = hash::block_hash(*in_flight.block.data);
  const uint64_t offset = in_flight.block.offset;
  const auto [at, inserted] = in_flight_.emplace(offset, std::move(in_flight));
  transmit(owner, at->second);
}

void BlockSender::transmit(const std::shared_ptr<void>& owner, const InFlight& block) {
  progress_.sent += block.block.data->size();
  const uint64_t offset = block.block.offset;
  agent_.submit(pack_(offset, block.hash, block.block.data), client::Priority::bulk,
                [this, owner, offset](Result<wire::Incoming> incoming) {
                  strand_.post([this, owner, offset, hash = open_(std::move(incoming))]() mutable {
                    on_answer(owner, offset, std::move(hash));
                  });
                });
}

void BlockSender::on_answer(const std::shared_ptr<void>& owner, uint64_t offset,
                            Result<hash::BlockHash> hash) {
  const auto found = in_flight_.find(offset);
  InFlight& block = found->second;
  if (!hash) {
    fail_with(std::move(hash).error());
  } else if (*hash == block.hash) {
    progress_.acknowledged += block.block.data->size();
  } else if (!error_) {
    if (block.tries < verify_retries_) {
      ++block.tries;
      log::warning("block at ", offset, " was damaged on its way to the disk: sent again");
      transmit(owner, block);
      return;
    }
    fail_with(make_error(Errc::verify, concat("block at ", offset, " is damaged after ",
                                              block.tries + 1, " attempts")));
  }
  const Event finished = std::move(block.finished);
  in_flight_.erase(found);
  if (finished) {
    finished();
  }
  run_deferred();
}

void BlockSender::when_drained(const std::shared_ptr<void>& owner, Event event) {
  if (idle()) {
    event();
    return;
  }
  deferred_.emplace_back([owner, event = std::move(event)] { event(); });
}

// A deferred block that goes out puts something in flight again, so the rest waits on.
void BlockSender::run_deferred() {
  if (running_deferred_) {
    return;
  }
  while (in_flight_.empty() && !deferred_.empty()) {
    Event event = std::move(deferred_.front());
    deferred_.pop_front();
    running_deferred_ = true;
    event();
    running_deferred_ = false;
  }
}

bool BlockSender::overlaps(const Extent& block) const {
  auto next = in_flight_.lower_bound(block.offset);
  if (next != in_flight_.end() && next->first < block.end()) {
    return true;
  }
  return next != in_flight_.begin() && std::prev(next)->second.block.end() > block.offset;
}

void BlockSender::fail_with(Error error) {
  if (!error_) {
    error_ = std::move(error);
  }
}

}  // namespace cpaway::upload
