#include "engine/upload/upload.h"

#include <algorithm>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/delta/chunker.h"

namespace cpaway::upload {
namespace {

using wire::kBlockSize;

// Fields of a put_file or commit, beyond the path and the block itself, must leave room.
constexpr size_t kMaxXattrsInMessage = 128UL << 10U;
// Behind what was written; more stays a hole.
constexpr uint64_t kMaxZerosInMessage = 16UL << 10U;
constexpr uint64_t kUnknown = UINT64_MAX;
// A block, what is not cut yet behind it, and one write of the usual 128 KiB.
constexpr size_t kTailCapacity = kBlockSize + (128UL << 10U);
constexpr size_t kFirstChunks = 1024;

wire::Frame pack_block(uint32_t transfer, const Extent& block, const hash::BlockHash& hash) {
  const auto size = static_cast<uint32_t>(block.data->size());
  if (block.delta == nullptr) {
    return wire::pack(0, wire::Block{transfer, block.offset, hash}, block.data);
  }
  return wire::pack(0,
                    wire::DeltaBlock{transfer, block.offset, size, hash, block.delta->coding,
                                     block.delta->segments},
                    block.delta->literals);
}

Result<hash::BlockHash> open_ack(Result<wire::Incoming> incoming) {
  CPAWAY_ASSIGN(auto ack, client::open_answer<wire::Block::Answer>(std::move(incoming)));
  return ack.answer.hash;
}

void add_segment(std::vector<wire::Segment>& segments, const wire::Segment& next) {
  if (!segments.empty() && segments.back().basis == next.basis) {
    wire::Segment& last = segments.back();
    if (next.basis == wire::kLiteral || last.offset + last.size == next.offset) {
      last.size += next.size;
      return;
    }
  }
  segments.push_back(next);
}

}  // namespace

std::shared_ptr<Upload> Upload::create(const Context& context, std::string path, Hints hints) {
  auto upload = std::shared_ptr<Upload>(new Upload(context, std::move(path), std::move(hints)));
  upload->sender_.set_lost([raw = upload.get()] { raw->recover(); });
  upload->sender_.set_acknowledged(
      [raw = upload.get()](const Extent& block, const hash::BlockHash& hash) {
        raw->on_acknowledged(block, hash);
      });
  return upload;
}

Upload::Upload(const Context& context, std::string path, Hints hints)
    : context_(context),
      path_(std::move(path)),
      strand_(context.workers),
      transfer_(next_transfer_id()),
      hints_(std::move(hints)),
      sender_(
          context.agent, strand_, context.verify_retries, progress_,
          [this](const Extent& block, const hash::BlockHash& hash) {
            return pack_block(transfer_, block, hash);
          },
          open_ack),
      bases_(
          context.agent, strand_, context.journal, transfer_, path_, [this] { go_on(); },
          [this] { recover(); }) {}

void Upload::post(Job job) {
  strand_.post([self = shared_from_this(), job = std::move(job)]() mutable {
    if (self->waiting_) {
      self->queue_.push_back(std::move(job));
    } else {
      job(*self);
    }
  });
}

void Upload::run_queued() {
  while (!waiting_ && !queue_.empty()) {
    const Job job = std::move(queue_.front());
    queue_.pop_front();
    job(*this);
  }
}

void Upload::write(uint64_t offset, ByteSpan data, Done done) {
  if (failed_) {
    post([done = std::move(done)](Upload& self) {
      done(fail(self.sender_.error().value_or(make_error(Errc::cancelled, "upload given up"))));
    });
    return;
  }
  auto copy = std::make_shared<Bytes>(context_.window.spare(data.size()));
  copy->assign(data.begin(), data.end());
  if (!is_far_jump(size_, offset + data.size())) {
    write_near(offset, std::move(copy), std::move(done));
    return;
  }
  post([offset, copy, done = std::move(done)](Upload& self) {
    self.reach(offset + copy->size(), [raw = &self, offset, copy, done](const Status& status) {
      if (status) {
        raw->write_near(offset, copy, done);
      } else {
        done(status);
      }
    });
  });
}

void Upload::write_near(uint64_t offset, std::shared_ptr<Bytes> data, Done done) {
  const size_t size = data->size();
  progress_.written += size;
  raise_size(offset + size);
  auto deliver = [self = shared_from_this(), offset, data = std::move(data),
                  done = std::move(done)] {
    self->post([offset, data](Upload& upload) { upload.on_write(offset, std::move(*data)); });
    done({});
  };
  if (context_.window.acquire(size, deliver)) {
    deliver();
  }
}

void Upload::on_write(uint64_t offset, Bytes data) {
  if (spent_ || sender_.error()) {
    context_.window.release(data.size());
    return;
  }
  if (!prepared_ && hints_.old_version && hints_.old_version->size > kBlockSize) {
    prepare();  // the next version will be about as large: find out early what can be copied
  }
  // What is cut already cannot change any more, and the stream has no holes.
  const bool follows =
      tail_ && offset >= tail_start_ + pieces_size_ && offset <= tail_start_ + tail_->bytes.size();
  if (tail_ && !follows && !cut(true)) {
    queue_.push_front([offset, copy = std::make_shared<Bytes>(std::move(data))](Upload& self) {
      self.on_write(offset, std::move(*copy));
    });
    return;
  }
  if (!tail_) {
    start_tail(offset);
  }
  if (tail_->bytes.empty() && data.size() == kBlockSize) {
    tail_->hold(data.size());
    tail_->bytes = std::move(data);  // as the program wrote it: no second copy
  } else {
    append(offset, data);
    context_.window.keep(std::move(data));
  }
  if (tail_->bytes.size() >= kBlockSize) {
    static_cast<void>(cut(false));  // what comes meanwhile waits as it does
  }
}

void Upload::start_tail(uint64_t offset) {
  if (offset != tail_start_) {
    bases_.restart(offset);
    leave_hole(tail_start_);
  }
  tail_ = std::make_shared<WindowBytes>(context_.window);
  tail_start_ = offset;
  if (prepared_) {
    tail_->bytes = context_.window.spare(kTailCapacity);
  }
  context_.window.add_holder(this, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) {
      self->post([](Upload& upload) { upload.relieve(); });
    }
  });
}

// What an earlier upload has left beyond `end`, where this one does not go on, must not show
// through. Only at the first hole: until then nothing of ours is behind `end`.
void Upload::leave_hole(uint64_t end) {
  if (!hole_) {
    hole_ = end;
    drop_kept();
  }
}

void Upload::drop_kept() {
  if (!initialised_ || !hole_ || kept_size_ <= *hole_) {
    return;
  }
  kept_size_ = 0;
  ++truncating_;
  call_again(wire::TruncateTransfer{transfer_, *hole_}, [this](const Result<wire::Empty>& answer) {
    if (answer) {
      nothing_is_noted();
    } else {
      fail_with(answer.error());
    }
    --truncating_;
    if (const auto commit = std::exchange(held_commit_, nullptr)) {
      commit();
    }
  });
}

// The agent has written what it had only noted.
void Upload::nothing_is_noted() {
  all_noted_ = false;
  noted_ = {};
}

// Somebody waits for the window. A piece that is cut for that is seldom one that a basis has, so it
// is done only where nothing is in flight, whose end would make room as well.
void Upload::relieve() {
  relieve_wanted_ = !sender_.idle();
  if (!relieve_wanted_ && !spent_ && !is_put_) {
    static_cast<void>(cut(true));
  }
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

bool Upload::cut(bool at_end) {
  if (!tail_) {
    return true;
  }
  if (!prepared_) {
    prepare();
  }
  for (;;) {
    if (!is_ready()) {
      waiting_ = true;
      wait_at_end_ = at_end;
      return false;
    }
    if (!std::exchange(similar_asked_, true)) {
      add_similar();
      continue;
    }
    const ByteSpan rest = ByteSpan(tail_->bytes).subspan(pieces_size_);
    const auto piece = rest.empty() ? std::nullopt : bases_.next(rest, at_end);
    if (!piece) {
      break;
    }
    if (pieces_size_ + piece->size > kBlockSize) {
      send_block();
    }
    pieces_.push_back(*piece);
    pieces_size_ += piece->size;
  }
  if (at_end && pieces_size_ > 0) {
    send_block();
  }
  return true;
}

// Sends the pieces; what is not cut yet stays.
void Upload::send_block() {
  const auto block = std::exchange(tail_, nullptr);
  const uint64_t offset = std::exchange(tail_start_, tail_start_ + pieces_size_);
  if (block->bytes.size() > pieces_size_) {
    tail_ = std::make_shared<WindowBytes>(context_.window);
    tail_->bytes = context_.window.spare(kTailCapacity);
    block->move_rest(pieces_size_, *tail_);
  } else {
    context_.window.remove_holder(this);
  }
  block->settle();
  hash_block(offset, block->bytes);
  auto delta = make_delta(block->bytes);
  keep_chunks(offset, block->bytes);
  pieces_.clear();
  pieces_size_ = 0;
  sender_.send(shared_from_this(),
               Extent{offset, SharedBytes(block, &block->bytes), std::move(delta)});
}

// The pieces are the chunks of the new version; those of a staging file are too large for finding
// anything in the next one.
void Upload::keep_chunks(uint64_t offset, ByteSpan block) {
  if (offset != chunked_) {
    chunked_ = kUnknown;
    chunks_ = {};
    return;
  }
  const size_t need = chunks_.size() + pieces_.size();
  if (need > chunks_.capacity()) {  // that of a huge file takes tens of MB: not twice of it
    chunks_.reserve(need + std::max(chunks_.size() / 8, kFirstChunks));
  }
  const delta::ChunkSizes sizes;
  for (const delta::Piece& piece : pieces_) {
    if (piece.size > sizes.max) {
      static_cast<void>(delta::append_chunks(block.first(piece.size), true, sizes, chunks_));
    } else {
      chunks_.push_back({piece.id, piece.size});
    }
    block = block.subspan(piece.size);
  }
  chunked_ += pieces_size_;
}

// Null where the block is best sent as it is.
std::shared_ptr<const Delta> Upload::make_delta(const Bytes& block) {
  auto delta = std::make_shared<Delta>();
  Bytes literals;
  size_t at = 0;
  for (const delta::Piece& piece : pieces_) {
    if (piece.source) {
      add_segment(delta->segments, {bases_.number_of(piece), piece.size, piece.source->offset});
      delta->copied += piece.size;
    } else {
      add_segment(delta->segments, {wire::kLiteral, piece.size, 0});
      const auto first = block.begin() + static_cast<ptrdiff_t>(at);
      literals.insert(literals.end(), first, first + static_cast<ptrdiff_t>(piece.size));
    }
    at += piece.size;
  }
  if (!literals.empty() && context_.compress != Compress::off) {
    if (auto coded = compressor_.compress(literals)) {
      delta->coding = wire::kZstd;
      literals = std::move(*coded);
    }
  }
  if (delta->copied == 0 && delta->coding == wire::kPlain) {
    return nullptr;
  }
  if (!literals.empty()) {
    delta->literals = std::make_shared<const Bytes>(std::move(literals));
  }
  return delta;
}

void Upload::hash_block(uint64_t offset, ByteSpan bytes) {
  if (offset < hashed_) {
    sha256_known_ = false;
  }
  hash_gap(offset);
  if (sha256_known_) {
    sha256_.update(bytes);
    hashed_ += bytes.size();
  }
}

// What nobody wrote reads as zeros.
void Upload::hash_gap(uint64_t to) {
  if (!sha256_known_ || to <= hashed_) {
    return;
  }
  gaps_ += to - hashed_;
  if (gaps_ > kMaxHashedGaps) {
    sha256_known_ = false;
    return;
  }
  sha256_.update_zeros(to - hashed_);
  hashed_ = to;
}

void Upload::on_acknowledged(const Extent& block, const hash::BlockHash& hash) {
  recoveries_ = 0;
  if (relieve_wanted_) {
    post([](Upload& self) { self.relieve(); });
  }
  const auto size = static_cast<uint32_t>(block.data->size());
  const uint64_t noted_end = noted_.empty() ? 0 : noted_.back().offset + noted_.back().size;
  const Delta* delta = block.delta.get();
  if (all_noted_ && delta != nullptr && delta->segments.size() == 1 && block.offset == noted_end &&
      delta->segments[0].offset == block.offset && bases_.is_target(delta->segments[0].basis)) {
    noted_.push_back({block.offset, size, hash, delta->segments[0].basis});
    return;
  }
  nothing_is_noted();
  context_.journal.acknowledge(path_, {block.offset, {hash, size}});
}

void Upload::truncate(uint64_t size, Done done) {
  if (is_far_jump(size_, size)) {
    post([size, done = std::move(done)](Upload& self) { self.reach(size, done); });
    return;
  }
  size_ = size;
  post([size, done = std::move(done)](Upload& self) { self.on_truncate(size, done); });
}

void Upload::on_truncate(uint64_t size, const Done& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  // While the digest is known, nothing was sent beyond what it covers.
  const uint64_t end = std::max(tail_ ? tail_start_ + tail_->bytes.size() : 0, hashed_);
  if (!prepared_ && tail_ && tail_start_ == 0 && size <= end) {
    tail_->bytes.resize(size);
    tail_->release_surplus();
    if (size == 0) {
      context_.window.remove_holder(this);
      tail_ = nullptr;  // the next write may begin anywhere
    }
    done({});
    return;
  }
  if (size >= end && (!prepared_ || sha256_known_)) {
    done({});  // longer: the commit's size says so, and a gap reads as zeros
    return;
  }
  if (!cut(true)) {
    queue_.push_front([size, done](Upload& self) { self.on_truncate(size, done); });
    return;
  }
  if (!prepared_) {
    prepare();
  }
  // Nothing of the stream's digest survives, but for a start from nothing.
  sha256_ = hash::Sha256();
  hashed_ = 0;
  gaps_ = 0;
  sha256_known_ = size == 0;
  chunks_ = {};
  chunked_ = size == 0 ? 0 : kUnknown;
  sender_.when_drained(shared_from_this(), [this, self = shared_from_this(), size, done] {
    call_again(wire::TruncateTransfer{transfer_, size},
               [this, done](const Result<wire::Empty>& answer) {
                 if (answer) {
                   nothing_is_noted();
                 }
                 done(answer ? Status() : Status(fail(answer.error())));
               });
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
  if (!prepared_) {
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
  if (!settle([offset, size, done](Upload& self) { self.on_read(offset, size, done); })) {
    return;
  }
  if (end > tail_start_) {
    leave_hole(tail_start_);
  }
  sender_.when_drained(shared_from_this(), [this, self = shared_from_this(), offset, wanted, done] {
    read_transfer(offset, wanted, done);
  });
}

void Upload::commit(wire::Placement placement, bool durable, PathNow path_now, CommitDone done) {
  post([placement = std::move(placement), durable, path_now = std::move(path_now),
        done = std::move(done)](Upload& self) {
    self.path_now_ = path_now;
    self.on_commit(placement, durable, done);
  });
}

// A directory above it was renamed before the agent looked: gives `placement` the new path.
bool Upload::was_overtaken(const Result<wire::CommitAnswer>& answer,
                           wire::Placement& placement) const {
  if (answer || answer.error().code != Errc::os || answer.error().os_errno != ENOENT) {
    return false;
  }
  const std::string now = path_now_ ? path_now_() : std::string();
  if (now.empty() || now == placement.path) {
    return false;
  }
  placement.path = now;
  return true;
}

bool Upload::fits_one_message(const wire::Placement& placement) const {
  size_t xattr_size = 0;
  for (const wire::Xattr& xattr : placement.xattrs) {
    xattr_size += xattr.name.size() + xattr.value.size() + 8;
  }
  const uint64_t zeros = size_ - std::min<uint64_t>(size_, tail_ ? tail_->bytes.size() : 0);
  return !prepared_ && size_ <= kBlockSize && zeros <= kMaxZerosInMessage &&
         xattr_size <= kMaxXattrsInMessage && (!tail_ || tail_start_ == 0);
}

void Upload::on_commit(const wire::Placement& placement, bool durable, const CommitDone& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  if (fits_one_message(placement)) {
    if (!tail_) {
      start_tail(0);
    }
    tail_->bytes.resize(size_, 0);
    is_put_ = true;
    context_.window.remove_holder(this);
    put_file(placement, durable, 0, false, done);
    return;
  }
  // Once it is initialised it is known what an earlier upload has left, to be cut off.
  if (!settle(
          [placement, durable, done](Upload& self) { self.on_commit(placement, durable, done); })) {
    return;
  }
  hash_gap(size_);
  if (size_ > tail_start_) {
    leave_hole(tail_start_);
  }
  sender_.when_drained(shared_from_this(), [this, self = shared_from_this(), placement, durable,
                                            done] { send_commit(placement, durable, done); });
}

void Upload::put_file(wire::Placement placement, bool durable, int tries, bool repeated,
                      CommitDone done) {
  if (spent_) {
    done(fail(Errc::cancelled, "upload given up"));
    return;
  }
  const hash::Sha256Value sha256 = hash::sha256(tail_->bytes);
  wire::PutFile request{sha256, durable, placement};
  if (repeated && placement.join != wire::kJoinNot) {
    // What has the name may be what the lost answer was about.
    request.placement.join = wire::kJoinNot;
    request.placement.exclusive = true;
  }
  progress_.sent += tail_->bytes.size();
  client::call(
      context_.agent, request,
      [self = shared_from_this(), placement = std::move(placement), durable, tries, repeated,
       sha256, done = std::move(done)](Result<wire::CommitAnswer> answer) mutable {
        self->strand_.post([self, answer = std::move(answer), placement = std::move(placement),
                            durable, tries, repeated, sha256, done = std::move(done)]() mutable {
          if (self->was_overtaken(answer, placement)) {
            self->put_file(std::move(placement), durable, tries, repeated, std::move(done));
          } else if (!answer && answer.error().code == Errc::verify &&
                     tries < self->context_.verify_retries) {
            log::warning(self->path_, " was damaged on its way to the disk: sent again");
            self->put_file(std::move(placement), durable, tries + 1, repeated, std::move(done));
          } else if (!answer && answer.error().code == Errc::connection_lost && !self->spent_ &&
                     self->recoveries_++ < kMaxRecoveries) {
            self->put_file(std::move(placement), durable, tries, true, std::move(done));
          } else if (!answer && repeated && answer.error().os_errno == EEXIST) {
            self->look_for_put(std::move(placement), durable, tries, sha256, done);
          } else {
            self->end_commit(std::move(answer), placement.path, done);
          }
        });
      },
      SharedBytes(tail_, &tail_->bytes));
}

void Upload::send_commit(const wire::Placement& placement, bool durable, const CommitDone& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  if (truncating_ > 0) {
    held_commit_ = [this, self = shared_from_this(), placement, durable, done] {
      send_commit(placement, durable, done);
    };
    return;
  }
  wire::Commit request;
  request.transfer = transfer_;
  request.size = size_;
  if (sha256_known_) {
    request.sha256 = sha256_.value();
    gone_ = [this, path = placement.path, done] { look_for_commit(path, sha256_.value(), done); };
  }
  request.durable = durable;
  request.placement = placement;
  call_again(request, [this, placement, durable, done](Result<wire::CommitAnswer> answer) {
    wire::Placement again = placement;
    if (was_overtaken(answer, again)) {
      send_commit(again, durable, done);
    } else {
      end_commit(std::move(answer), placement.path, done);
    }
  });
}

void Upload::end_commit(Result<wire::CommitAnswer> answer, const std::string& path,
                        const CommitDone& done) {
  if (answer) {
    if (!prepared_) {
      progress_.acknowledged += tail_ ? tail_->bytes.size() : 0;
    }
    spent_ = true;
    remember(*answer, path);
  } else {
    fail_with(answer.error());
  }
  context_.window.remove_holder(this);
  tail_ = nullptr;
  done(std::move(answer));
}

void Upload::remember(const wire::CommitAnswer& answer, const std::string& path) {
  if (!prepared_) {
    return;
  }
  context_.journal.drop_checkpoint(path_);
  if (chunked_ != size_ || !sha256_known_ || answer.joined) {
    return;
  }
  const KnownFile now{key_of(answer.attr), path};
  if (all_noted_ && hints_.old_version && bases_.knew_target()) {
    context_.journal.rekey(*hints_.old_version, now);
  } else {
    context_.journal.remember({now, answer.sha256, std::move(chunks_)});
  }
}

void Upload::cancel(bool keep) {
  failed_ = true;
  strand_.post([self = shared_from_this(), keep] {
    if (self->spent_) {
      return;
    }
    self->fail_with(make_error(Errc::cancelled, "upload given up"));
    self->spent_ = true;
    self->context_.window.remove_holder(self.get());
    self->tail_ = nullptr;
    if (!self->prepared_) {
      return;
    }
    if (!keep) {
      self->context_.journal.drop_checkpoint(self->path_);
    }
    client::call(
        self->context_.agent, wire::Cancel{self->transfer_, keep},
        [self](const Result<wire::Empty>& answer) {
          if (!answer) {
            log::debug("cancel: ", answer.error().to_string());
          }
        },
        nullptr, client::Priority::bulk);
  });
}

void Upload::raise_size(uint64_t floor) {
  uint64_t seen = size_.load();
  while (seen < floor && !size_.compare_exchange_weak(seen, floor)) {
  }
}

void Upload::fail_with(Error error) {
  failed_ = true;
  sender_.fail_with(std::move(error));
  if (std::exchange(waiting_, false)) {
    strand_.post([self = shared_from_this()] { self->run_queued(); });
  }
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
