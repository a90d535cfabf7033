#include "engine/upload/in_place_writer.h"

#include <utility>

namespace cpaway::upload {
namespace {

Result<hash::BlockHash> open_write_answer(Result<wire::Incoming> incoming) {
  CPAWAY_ASSIGN(auto answer, client::open_answer<wire::Write::Answer>(std::move(incoming)));
  return answer.answer.hash;
}

}  // namespace

std::shared_ptr<InPlaceWriter> InPlaceWriter::create(const Context& context, uint32_t handle) {
  return std::shared_ptr<InPlaceWriter>(new InPlaceWriter(context, handle));
}

InPlaceWriter::InPlaceWriter(const Context& context, uint32_t handle)
    : context_(context),
      strand_(context.workers),
      sender_(
          context.agent, strand_, context.verify_retries, progress_,
          [handle](const Extent& block, const hash::BlockHash& hash) {
            return wire::pack(0, wire::Write{handle, block.offset, hash}, block.data);
          },
          open_write_answer) {}

void InPlaceWriter::write(uint64_t offset, ByteSpan data, Upload::Done done) {
  progress_.written += data.size();
  ++pending_;
  auto copy = std::make_shared<Bytes>(data.begin(), data.end());
  auto deliver = [self = shared_from_this(), offset, copy, done = std::move(done)] {
    self->strand_.post([self, offset, copy] { self->on_write(offset, std::move(*copy)); });
    done({});
  };
  if (context_.window.acquire(data.size(), deliver)) {
    deliver();
  }
}

void InPlaceWriter::on_write(uint64_t offset, Bytes data) {
  const auto held = std::make_shared<WindowBytes>(context_.window);
  held->hold(data.size());
  held->bytes = std::move(data);
  const auto self = shared_from_this();
  sender_.send(self, Extent{offset, SharedBytes(held, &held->bytes), nullptr},
               [raw = this] { --raw->pending_; });
}

void InPlaceWriter::drain(Upload::Done done) {
  strand_.post([self = shared_from_this(), done = std::move(done)] {
    self->sender_.when_drained(self, [self, done] {
      if (!self->sender_.error()) {
        done({});
        return;
      }
      const Error error = *self->sender_.error();
      self->sender_.clear_error();
      done(fail(error));
    });
  });
}

}  // namespace cpaway::upload
