#include "engine/upload/in_place_writer.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"

namespace cpaway::upload {
namespace {

Extent as_extent(uint64_t offset, const std::shared_ptr<WindowBytes>& block, bool append = false) {
  return {offset, SharedBytes(block, &block->bytes), nullptr, append};
}

}  // namespace

std::shared_ptr<InPlaceWriter> InPlaceWriter::create(const Context& context, uint32_t handle,
                                                     uint64_t known_size,
                                                     std::function<void()> moved) {
  return std::shared_ptr<InPlaceWriter>(
      new InPlaceWriter(context, handle, known_size, std::move(moved)));
}

InPlaceWriter::InPlaceWriter(const Context& context, uint32_t handle, uint64_t known_size,
                             std::function<void()> moved)
    : context_(context),
      handle_(handle),
      moved_(std::move(moved)),
      strand_(context.workers),
      known_size_(known_size),
      sender_(
          context.agent, strand_, context.verify_retries, progress_,
          [this, handle](const Extent& block, const hash::BlockHash& hash) {
            if (!block.append) {
              return wire::pack(0, wire::Write{handle, block.offset, hash}, block.data);
            }
            append_hash_ = hash;
            const bool may_be_there = block.again && append_end_ != kUnknownEnd;
            return wire::pack(0, wire::Append{handle, append_end_, hash, may_be_there}, block.data);
          },
          [this](Result<wire::Incoming> incoming) { return open_answer(std::move(incoming)); }) {}

// Of the one append that is on its way, or of a write.
Result<hash::BlockHash> InPlaceWriter::open_answer(Result<wire::Incoming> incoming) {
  if (!appending_) {
    CPAWAY_ASSIGN(auto answer, client::open_answer<wire::Write::Answer>(std::move(incoming)));
    return answer.answer.hash;
  }
  CPAWAY_ASSIGN(auto answer, client::open_answer<wire::Append::Answer>(std::move(incoming)));
  if (answer.answer.hash != append_hash_) {
    return answer.answer.hash;  // damaged on its way, and not written
  }
  if (answer.answer.offset != append_offset_ && moved_) {
    moved_();
  }
  append_end_ = answer.answer.offset + append_size_;
  return answer.answer.hash;
}

void InPlaceWriter::write_or_append(uint64_t offset, ByteSpan data, bool append,
                                    Upload::Done done) {
  progress_.written += data.size();
  ++pending_;
  // The filesystem may not take it.
  const bool waits = !arrived_ || is_far_jump(known_size_, offset + data.size());
  auto copy = std::make_shared<Bytes>(data.begin(), data.end());
  auto deliver = [self = shared_from_this(), offset, copy, append, waits, done = std::move(done)] {
    self->strand_.post([self, offset, copy, append] {
      if (append) {
        self->on_append(offset, *copy);
      } else {
        self->on_write(offset, std::move(*copy));
      }
    });
    if (!waits) {
      done({});
      return;
    }
    self->strand_.post([self, done] {
      self->sender_.when_drained(self, [self, done] {
        const Status status = self->take_failure();
        self->arrived_ = self->arrived_ || status;
        done(status);
      });
    });
  };
  if (context_.window.acquire(data.size(), deliver)) {
    deliver();
  }
}

void InPlaceWriter::on_write(uint64_t offset, Bytes data) {
  appends_ = nullptr;  // what is appended from now on goes behind this
  const auto held = std::make_shared<WindowBytes>(context_.window);
  held->hold(data.size());
  held->bytes = std::move(data);
  const auto self = shared_from_this();
  sender_.send(
      self, as_extent(offset, held), [raw = this] { --raw->pending_; },
      [raw = this, offset, held](const BlockSender::Lacking& lacking) {
        return raw->compare(offset, held, lacking);
      });
}

// One is on its way at a time, so that only one can be in doubt; what comes meanwhile goes
// together.
void InPlaceWriter::on_append(uint64_t offset, ByteSpan data) {
  const bool joins = appends_ && appends_->bytes->bytes.size() + data.size() <= wire::kBlockSize;
  if (!joins) {
    appends_ = std::make_shared<Appends>();
    appends_->offset = offset;
    appends_->bytes = std::make_shared<WindowBytes>(context_.window);
  }
  appends_->bytes->hold(data.size());
  appends_->bytes->bytes.insert(appends_->bytes->bytes.end(), data.begin(), data.end());
  ++appends_->count;
  if (!joins) {
    sender_.when_drained(shared_from_this(), [this, appends = appends_] { send(appends); });
  }
}

void InPlaceWriter::send(const std::shared_ptr<Appends>& appends) {
  if (appends_ == appends) {
    appends_ = nullptr;  // what comes now goes with the next
  }
  appending_ = true;
  touched_ = true;
  append_offset_ = appends->offset;
  append_size_ = appends->bytes->bytes.size();
  known_size_ = std::max<uint64_t>(known_size_, append_offset_ + append_size_);
  sender_.send(shared_from_this(), as_extent(appends->offset, appends->bytes, true),
               [this, count = appends->count] {
                 appending_ = false;
                 pending_ -= count;
               });
  // What is written behind it waits for it.
  sender_.when_drained(shared_from_this(), [] {});
}

bool InPlaceWriter::compare(uint64_t offset, const std::shared_ptr<WindowBytes>& block,
                            const BlockSender::Lacking& lacking) {
  const uint64_t end = offset + block->bytes.size();
  const uint64_t known = known_size_;
  known_size_ = std::max(known, end);
  const uint64_t there = std::min(known, end);
  if (there < offset + kMinCompared || !gate_.should_ask()) {
    touched_ = true;
    return false;
  }
  auto request = compare_request(handle_, offset, ByteSpan(block->bytes).first(there - offset));
  // Ahead of blocks that wait for the link, as it is small; it overlaps none of them.
  client::call(
      context_.agent, request,
      [self = shared_from_this(), request, block, lacking](Result<wire::Compare::Answer> answer) {
        self->strand_.post([self, request, block, lacking, answer = std::move(answer)] {
          self->on_compared(request, answer, block, lacking);
        });
      });
  return true;
}

void InPlaceWriter::on_compared(const wire::Compare& request,
                                const Result<wire::Compare::Answer>& answer,
                                const std::shared_ptr<WindowBytes>& block,
                                const BlockSender::Lacking& lacking) {
  const size_t size = block->bytes.size();
  if (!answer) {
    log::debug("compare: ", answer.error().to_string());
    gate_.close();
  }
  auto ranges = ranges_to_send(request, answer ? *answer : wire::Compare::Answer{}, size);
  const bool all_differ = ranges == std::vector<ByteRange>{{0, size}};
  if (answer) {
    gate_.answered(std::count(answer->equal.begin(), answer->equal.end(), 1) > 0);
  }
  if (ranges.empty() && !touched_) {
    ranges.push_back({0, 1});
  }
  touched_ = touched_ || !ranges.empty();
  std::vector<Extent> parts;
  for (const ByteRange& range : ranges) {
    auto part = block;
    if (!all_differ) {
      part = std::make_shared<WindowBytes>(context_.window);
      block->give_range(range.offset, range.size, *part);
    }
    parts.push_back(as_extent(request.offset + range.offset, part));
  }
  lacking(std::move(parts));
}

void InPlaceWriter::wait(std::function<void()> done) {
  strand_.post([self = shared_from_this(), done = std::move(done)] {
    self->sender_.when_drained(self, done);
  });
}

void InPlaceWriter::drain(Upload::Done done) {
  strand_.post([self = shared_from_this(), done = std::move(done)] {
    self->sender_.when_drained(self, [self, done] {
      self->touched_ = false;
      done(self->take_failure());
    });
  });
}

Status InPlaceWriter::take_failure() {
  if (!sender_.error()) {
    return {};
  }
  const Error error = *sender_.error();
  sender_.clear_error();
  return fail(error);
}

}  // namespace cpaway::upload
