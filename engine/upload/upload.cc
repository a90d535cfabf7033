#include "engine/upload/upload.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"

namespace cpaway::upload {
namespace {

using wire::kBlockSize;

// Fields of a put_file or commit, beyond the path and the block itself, must leave room.
constexpr size_t kMaxXattrsInMessage = 128UL << 10U;

uint32_t next_transfer_id() {
  static std::atomic<uint32_t> next{1};
  return next++;
}

wire::Frame pack_block(uint32_t transfer, uint64_t offset, const hash::BlockHash& hash,
                       SharedBytes data) {
  return wire::pack(0, wire::Block{transfer, offset, hash}, std::move(data));
}

Result<hash::BlockHash> open_ack(Result<wire::Incoming> incoming) {
  CPAWAY_ASSIGN(auto ack, client::open_answer<wire::Block::Answer>(std::move(incoming)));
  return ack.answer.hash;
}

void raise_to(std::atomic<uint64_t>& value, uint64_t floor) {
  uint64_t seen = value.load();
  while (seen < floor && !value.compare_exchange_weak(seen, floor)) {
  }
}

}  // namespace

std::shared_ptr<Upload> Upload::create(const Context& context, std::string path) {
  return std::shared_ptr<Upload>(new Upload(context, std::move(path)));
}

Upload::Upload(const Context& context, std::string path)
    : context_(context),
      path_(std::move(path)),
      transfer_(next_transfer_id()),
      strand_(context.workers),
      sender_(
          context.agent, strand_, context.verify_retries, progress_,
          [transfer = transfer_](uint64_t offset, const hash::BlockHash& hash, SharedBytes data) {
            return pack_block(transfer, offset, hash, std::move(data));
          },
          open_ack) {}

void Upload::post(std::function<void(Upload&)> job) {
  strand_.post([self = shared_from_this(), job = std::move(job)] { job(*self); });
}

void Upload::write(uint64_t offset, ByteSpan data, Done done) {
  if (failed_) {
    post([done = std::move(done)](Upload& self) {
      done(fail(self.sender_.error().value_or(make_error(Errc::cancelled, "upload given up"))));
    });
    return;
  }
  progress_.written += data.size();
  raise_to(size_, offset + data.size());
  auto copy = std::make_shared<Bytes>(data.begin(), data.end());
  auto deliver = [self = shared_from_this(), offset, copy, done = std::move(done)] {
    self->post([offset, copy](Upload& upload) { upload.on_write(offset, std::move(*copy)); });
    done({});
  };
  if (context_.window.acquire(data.size(), deliver)) {
    deliver();
  }
}

void Upload::on_write(uint64_t offset, Bytes data) {
  const uint64_t size = data.size();
  if (spent_ || sender_.error()) {
    context_.window.release(size);
    return;
  }
  if (!tail_ && size == kBlockSize) {
    // A whole block as the program wrote it: no second copy.
    start_tail(offset);
    tail_->bytes = std::move(data);
    tail_->hold(size);
    seal_tail();
    return;
  }
  ByteSpan rest(data);
  while (!rest.empty()) {
    const bool touches = tail_ && offset >= tail_start_ &&
                         offset <= tail_start_ + tail_->bytes.size() &&
                         offset - tail_start_ < kBlockSize;
    if (!touches) {
      seal_tail();
      start_tail(offset);
    }
    const uint64_t room = kBlockSize - (offset - tail_start_);
    const ByteSpan part = rest.first(std::min<uint64_t>(rest.size(), room));
    append(offset, part);
    rest = rest.subspan(part.size());
    offset += part.size();
    if (tail_->bytes.size() == kBlockSize) {
      seal_tail();
    }
  }
}

void Upload::start_tail(uint64_t offset) {
  tail_ = std::make_shared<WindowBytes>(context_.window);
  tail_start_ = offset;
  if (init_sent_) {
    tail_->bytes.reserve(kBlockSize);
  }
  context_.window.add_holder(this, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->post([](Upload& upload) {
        if (!upload.spent_) {
          upload.seal_tail();
        }
      });
    }
  });
}

// Puts bytes that begin inside the tail, or at its end, into it.
void Upload::append(uint64_t offset, ByteSpan data) {
  Bytes& bytes = tail_->bytes;
  const size_t at = offset - tail_start_;
  const size_t over = std::min(data.size(), bytes.size() - at);
  std::copy_n(data.begin(), over, bytes.begin() + static_cast<ptrdiff_t>(at));
  bytes.insert(bytes.end(), data.begin() + static_cast<ptrdiff_t>(over), data.end());
  tail_->hold(data.size());
  tail_->release_surplus();
}

void Upload::seal_tail() {
  if (!tail_) {
    return;
  }
  context_.window.remove_holder(this);
  send_init();
  hash_tail();
  const auto tail = std::exchange(tail_, nullptr);
  if (!tail->bytes.empty()) {
    sender_.send(shared_from_this(), Extent{tail_start_, SharedBytes(tail, &tail->bytes)});
  }
}

void Upload::hash_tail() {
  if (tail_start_ < hashed_) {
    sha256_known_ = false;
  }
  hash_gap(tail_start_);
  if (sha256_known_) {
    sha256_.update(tail_->bytes);
    hashed_ += tail_->bytes.size();
  }
}

// What nobody wrote reads as zeros.
void Upload::hash_gap(uint64_t to) {
  if (!sha256_known_ || to <= hashed_) {
    return;
  }
  if (to - hashed_ > kMaxHashedGap) {
    sha256_known_ = false;
    return;
  }
  sha256_.update_zeros(to - hashed_);
  hashed_ = to;
}

void Upload::send_init() {
  if (std::exchange(init_sent_, true)) {
    return;
  }
  // Bulk, as the blocks: it must reach the agent before them.
  client::call(
      context_.agent, wire::Init{transfer_, path_},
      [self = shared_from_this()](Result<wire::Init::Answer> answer) {
        if (!answer) {
          self->post(
              [error = std::move(answer).error()](Upload& upload) { upload.fail_with(error); });
        }
      },
      nullptr, client::Priority::bulk);
}

void Upload::truncate(uint64_t size, Done done) {
  size_ = size;
  post([size, done = std::move(done)](Upload& self) { self.on_truncate(size, done); });
}

void Upload::on_truncate(uint64_t size, const Done& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  const uint64_t end = tail_ ? tail_start_ + tail_->bytes.size() : hashed_;
  if (!init_sent_ && tail_ && tail_start_ == 0 && size <= end) {
    tail_->bytes.resize(size);
    tail_->release_surplus();
    done({});
    return;
  }
  if (size >= end && (!init_sent_ || sha256_known_)) {
    done({});  // longer: the commit's size says so, and a gap reads as zeros
    return;
  }
  seal_tail();
  send_init();
  // Nothing of the stream's digest survives, but for a start from nothing.
  sha256_ = hash::Sha256();
  hashed_ = 0;
  sha256_known_ = size == 0;
  sender_.when_drained(shared_from_this(), [this, self = shared_from_this(), size, done] {
    client::call(
        context_.agent, wire::TruncateTransfer{transfer_, size},
        [self, done](const Result<wire::Empty>& answer) {
          done(answer ? Status() : Status(fail(answer.error())));
        },
        nullptr, client::Priority::bulk);
  });
}

void Upload::read(uint64_t offset, uint32_t size, ReadDone done) {
  post([offset, size, done = std::move(done)](Upload& self) { self.on_read(offset, size, done); });
}

void Upload::on_read(uint64_t offset, uint32_t size, const ReadDone& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  const uint64_t end = size_;
  const uint32_t wanted =
      offset >= end ? 0 : static_cast<uint32_t>(std::min<uint64_t>(size, end - offset));
  if (wanted == 0) {
    done(Bytes{});
    return;
  }
  if (!init_sent_) {
    Bytes out(wanted, 0);
    if (tail_ && offset < tail_start_ + tail_->bytes.size() && offset + wanted > tail_start_) {
      const uint64_t from = std::max(offset, tail_start_);
      const uint64_t to = std::min(offset + wanted, tail_start_ + tail_->bytes.size());
      std::copy_n(tail_->bytes.begin() + static_cast<ptrdiff_t>(from - tail_start_), to - from,
                  out.begin() + static_cast<ptrdiff_t>(from - offset));
    }
    done(std::move(out));
    return;
  }
  seal_tail();
  sender_.when_drained(shared_from_this(), [this, self = shared_from_this(), offset, wanted, done] {
    client::call_bulk(
        context_.agent, wire::ReadTransfer{transfer_, offset, wanted},
        [self, wanted, done](const Result<client::WithBulk<wire::Empty>>& answer) {
          if (!answer) {
            done(fail(answer.error()));
            return;
          }
          Bytes out(answer->bulk.begin(), answer->bulk.end());
          out.resize(wanted, 0);  // beyond the staging file's end: a truncation upwards
          done(std::move(out));
        },
        client::Priority::bulk);
  });
}

void Upload::commit(wire::Placement placement, bool durable, CommitDone done) {
  post([placement = std::move(placement), durable, done = std::move(done)](Upload& self) mutable {
    self.on_commit(std::move(placement), durable, std::move(done));
  });
}

bool Upload::fits_one_message(const wire::Placement& placement) const {
  size_t xattr_size = 0;
  for (const wire::Xattr& xattr : placement.xattrs) {
    xattr_size += xattr.name.size() + xattr.value.size() + 8;
  }
  return !init_sent_ && size_ <= kBlockSize && xattr_size <= kMaxXattrsInMessage &&
         (!tail_ || tail_start_ == 0);
}

void Upload::on_commit(wire::Placement placement, bool durable, CommitDone done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  if (fits_one_message(placement)) {
    if (!tail_) {
      start_tail(0);
    }
    tail_->bytes.resize(size_, 0);
    put_file(std::move(placement), durable, 0, std::move(done));
    return;
  }
  seal_tail();
  send_init();
  hash_gap(size_);
  sender_.when_drained(shared_from_this(),
                       [this, self = shared_from_this(), placement = std::move(placement), durable,
                        done = std::move(done)] { send_commit(placement, durable, done); });
}

void Upload::put_file(wire::Placement placement, bool durable, int tries, CommitDone done) {
  if (spent_) {
    done(fail(Errc::cancelled, "upload given up"));
    return;
  }
  wire::PutFile request{hash::sha256(tail_->bytes), durable, placement};
  progress_.sent += tail_->bytes.size();
  client::call(
      context_.agent, request,
      [self = shared_from_this(), placement = std::move(placement), durable, tries,
       done = std::move(done)](Result<wire::CommitAnswer> answer) mutable {
        self->post([answer = std::move(answer), placement = std::move(placement), durable, tries,
                    done = std::move(done)](Upload& upload) mutable {
          if (!answer && answer.error().code == Errc::verify &&
              tries < upload.context_.verify_retries) {
            log::warning(upload.path_, " was damaged on its way to the disk: sent again");
            upload.put_file(std::move(placement), durable, tries + 1, std::move(done));
            return;
          }
          if (answer) {
            upload.progress_.acknowledged += upload.tail_ ? upload.tail_->bytes.size() : 0;
            upload.spent_ = true;
          } else {
            upload.fail_with(answer.error());
          }
          upload.context_.window.remove_holder(&upload);
          upload.tail_ = nullptr;
          done(std::move(answer));
        });
      },
      SharedBytes(tail_, &tail_->bytes));
}

void Upload::send_commit(wire::Placement placement, bool durable, CommitDone done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  wire::Commit request;
  request.transfer = transfer_;
  request.size = size_;
  if (sha256_known_) {
    request.sha256 = sha256_.value();
  }
  request.durable = durable;
  request.placement = std::move(placement);
  client::call(
      context_.agent, request,
      [self = shared_from_this(), done = std::move(done)](Result<wire::CommitAnswer> answer) {
        self->post([answer = std::move(answer), done](Upload& upload) mutable {
          if (answer) {
            upload.spent_ = true;
          } else {
            upload.fail_with(answer.error());
          }
          done(std::move(answer));
        });
      },
      nullptr, client::Priority::bulk);
}

void Upload::cancel() {
  failed_ = true;
  post([](Upload& self) {
    if (self.spent_) {
      return;
    }
    self.fail_with(make_error(Errc::cancelled, "upload given up"));
    self.spent_ = true;
    self.context_.window.remove_holder(&self);
    self.tail_ = nullptr;
    if (self.init_sent_) {
      client::call(
          self.context_.agent, wire::Cancel{self.transfer_},
          [keep = self.shared_from_this()](const Result<wire::Empty>& answer) {
            if (!answer) {
              log::debug("cancel: ", answer.error().to_string());
            }
          },
          nullptr, client::Priority::bulk);
    }
  });
}

void Upload::fail_with(Error error) {
  failed_ = true;
  sender_.fail_with(std::move(error));
}

// True where the upload can go on; otherwise reports why it cannot.
bool Upload::check(const std::function<void(Error)>& report) const {
  if (sender_.error()) {
    report(*sender_.error());
    return false;
  }
  if (spent_) {
    report(make_error(Errc::cancelled, "upload given up"));
    return false;
  }
  return true;
}

}  // namespace cpaway::upload
