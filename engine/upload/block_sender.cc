#include "engine/upload/block_sender.h"

#include <cerrno>
#include <utility>

#include "engine/base/log.h"

namespace cpaway::upload {

bool is_lost(const Error& error) {
  return error.code == Errc::connection_lost || (error.code == Errc::os && error.os_errno == EBADF);
}

void BlockSender::send(const std::shared_ptr<void>& owner, Extent block, Event finished, Ask ask) {
  if (error_) {
    if (finished) {
      finished();
    }
    return;
  }
  if ((!deferred_.empty() && !running_deferred_) || overlaps(block)) {
    deferred_.emplace_back([this, owner, block = std::move(block), finished = std::move(finished),
                            ask = std::move(ask)]() mutable {
      send(owner, std::move(block), std::move(finished), std::move(ask));
    });
    return;
  }
  const uint64_t offset = block.offset;
  const auto [at, inserted] = in_flight_.emplace(
      offset, InFlight{std::move(block), {}, 0, 0, false, 0, std::move(finished)});
  if (!ask || !ask_first(owner, offset, ask)) {
    start(owner, at->second);
  }
}

bool BlockSender::ask_first(const std::shared_ptr<void>& owner, uint64_t offset, const Ask& ask) {
  const bool asked = ask([this, owner, offset](std::vector<Extent> parts) {
    replace(owner, offset, std::move(parts));
  });
  in_flight_.find(offset)->second.sent = asked;
  return asked;
}

// What the block holds beyond its parts, the agent has.
void BlockSender::replace(const std::shared_ptr<void>& owner, uint64_t offset,
                          std::vector<Extent> parts) {
  const auto whole = in_flight_.find(offset);
  if (error_) {
    finish(whole);
    return;
  }
  uint64_t equal = whole->second.block.data->size();
  for (const Extent& part : parts) {
    equal -= part.data->size();
  }
  progress_.matched += equal;
  progress_.acknowledged += equal;
  if (parts.empty()) {
    finish(whole);
    return;
  }
  const Event finished = [left = std::make_shared<size_t>(parts.size()),
                          event = std::move(whole->second.finished)] {
    if (--*left == 0 && event) {
      event();
    }
  };
  in_flight_.erase(whole);
  for (Extent& part : parts) {
    const uint64_t at = part.offset;
    start(owner, in_flight_.emplace(at, InFlight{std::move(part), {}, 0, 0, false, 0, finished})
                     .first->second);
  }
}

void BlockSender::start(const std::shared_ptr<void>& owner, InFlight& block) {
  block.hash = hash::block_hash(*block.block.data);
  if (!held_) {
    transmit(owner, block);
  }
}

void BlockSender::transmit(const std::shared_ptr<void>& owner, InFlight& block) {
  block.sent = true;
  block.generation = generation_;
  wire::Frame frame = pack_(block.block, block.hash);
  progress_.sent += block.block.delta ? frame.size() : block.block.data->size();
  const uint64_t offset = block.block.offset;
  agent_.submit(std::move(frame), client::Priority::bulk,
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
  if (!hash && lost_ && !error_ && is_lost(hash.error())) {
    block.sent = false;
    if (!held_ && block.generation != generation_) {
      transmit(owner, block);  // the transfer has been opened again meanwhile
    } else if (!std::exchange(held_, true)) {
      lost_();
    }
    return;
  }
  constexpr int kMaxLosses = 5;
  if (!hash && block.block.append && !error_ && is_lost(hash.error()) &&
      block.losses++ < kMaxLosses) {
    block.block.again = true;
    transmit(owner, block);
    return;
  }
  if (!hash) {
    fail_with(std::move(hash).error());
  } else if (*hash == block.hash) {
    count_acknowledged(block);
  } else if (!error_ && try_again(owner, block)) {
    return;
  }
  finish(found);
}

bool BlockSender::try_again(const std::shared_ptr<void>& owner, InFlight& block) {
  if (block.block.delta) {
    log::debug("block at ", block.block.offset, ": the basis holds something else");
    block.block.delta = nullptr;
  } else if (block.tries < verify_retries_) {
    ++block.tries;
    log::warning("block at ", block.block.offset,
                 " was damaged on its way to the disk: sent again");
  } else {
    fail_with(make_error(Errc::verify, concat("block at ", block.block.offset, " is damaged after ",
                                              block.tries + 1, " attempts")));
    return false;
  }
  block.sent = false;
  if (!held_) {
    transmit(owner, block);
  }
  return true;
}

void BlockSender::count_acknowledged(const InFlight& block) {
  progress_.acknowledged += block.block.data->size();
  if (const Delta* delta = block.block.delta.get()) {
    const bool resumed = delta->segments.front().basis == wire::kStagingBasis;
    (resumed ? progress_.resumed : progress_.matched) += delta->copied;
  }
  if (acknowledged_) {
    acknowledged_(block.block, block.hash);
  }
}

void BlockSender::finish(Blocks::iterator block) {
  const Event finished = std::move(block->second.finished);
  in_flight_.erase(block);
  if (finished) {
    finished();
  }
  run_deferred();
}

void BlockSender::resume(const std::shared_ptr<void>& owner) {
  held_ = false;
  ++generation_;
  for (auto& [offset, block] : in_flight_) {
    if (!block.sent) {
      transmit(owner, block);
    }
  }
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
  if (std::exchange(held_, false)) {
    drop_held();
  }
}

// Blocks whose answer is due are dropped when it comes.
void BlockSender::drop_held() {
  std::vector<Event> finished;
  std::erase_if(in_flight_, [&finished](auto& one) {
    if (one.second.sent) {
      return false;
    }
    finished.push_back(std::move(one.second.finished));
    return true;
  });
  for (const Event& event : finished) {
    if (event) {
      event();
    }
  }
  run_deferred();
}

}  // namespace cpaway::upload
