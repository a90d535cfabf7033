// The beginning of a transfer: its staging file, and what it may copy from.
#include <algorithm>

#include "engine/base/log.h"
#include "engine/base/random.h"
#include "engine/base/strings.h"
#include "engine/delta/chunker.h"
#include "engine/upload/upload.h"
#include "engine/wire/names.h"

namespace cpaway::upload {
namespace {

// Files found by what they hold.
constexpr size_t kMaxSimilar = 2;
// Three seconds in all.
constexpr int kMaxWaitsForStaging = 30;
constexpr int64_t kWaitForStagingMs = 100;
constexpr size_t kRandomDigits = 16;

}  // namespace

uint32_t Upload::next_transfer_id() {
  static std::atomic<uint32_t> next{1};
  return next++;
}

// Everything is sent at once; what is answered is waited for with the first block.
void Upload::prepare() {
  prepared_ = true;
  const auto self = shared_from_this();
  if (nameless_) {
    named_path_ = std::exchange(path_, concat("unlinked-", random_hex(kRandomDigits)));
  }
  send_init(transfer_, &Upload::on_init);
  bases_.add_staging();
  if (!named_path_.empty()) {
    return;  // nothing is worth copying to it
  }
  if (hints_.old_version) {
    bases_.add_file(self, path_, hints_.old_version);
  }
  if (!hints_.similar_path.empty()) {
    bases_.add_file(self, hints_.similar_path, std::nullopt);
  }
}

// Bulk, as the blocks: it must reach the agent before them.
void Upload::send_init(uint32_t transfer, InitDone done) {
  init_path_ = path_;
  client::call(
      context_.agent, wire::Init{transfer, path_, {}},
      [self = shared_from_this(), done = std::move(done)](Result<wire::Init::Answer> answer) {
        self->strand_.post([self, done, answer = std::move(answer)] { (*self.*done)(answer); });
      },
      nullptr, client::Priority::bulk);
}

void Upload::on_init(const Result<wire::Init::Answer>& answer) {
  if (!answer && is_lost(answer.error())) {
    recover();
  } else if (!answer && init_path_ != path_) {  // its directory was renamed meanwhile
    drop_transfer(std::exchange(transfer_, next_transfer_id()));
    send_init(transfer_, &Upload::on_init);
    bases_.move_to(shared_from_this(), transfer_);
  } else if (!answer && move_back()) {
    bases_.move_to(shared_from_this(), transfer_);
    send_init(transfer_, &Upload::on_init);
  } else if (!answer) {
    fail_with(answer.error());
  } else if (has_own_staging(*answer)) {
    initialise(*answer);
    go_on();
  } else {
    first_init_ = *answer;
    try_init_again();
  }
}

void Upload::drop_transfer(uint32_t unused) {
  client::call(
      context_.agent, wire::Cancel{unused, false}, [](const Result<wire::Empty>& /*answer*/) {},
      nullptr, client::Priority::bulk);
}

// Files cannot be made in the mounted directory: then beside the name that it had.
bool Upload::move_back() {
  if (named_path_.empty()) {
    return false;
  }
  path_ = std::exchange(named_path_, {});
  drop_transfer(std::exchange(transfer_, next_transfer_id()));
  return true;
}

// False where the staging file of an earlier upload to this target is in use. The agent of a mount
// that was killed may still be finishing what it had read: then it is free in a moment.
bool Upload::has_own_staging(const wire::Init::Answer& answer) const {
  return answer.staging_name == wire::staging_name_of(path_.substr(path_.rfind('/') + 1));
}

void Upload::try_init_again() {
  if (++waits_for_staging_ > kMaxWaitsForStaging) {
    initialise(first_init_);
    go_on();
    return;
  }
  context_.timer.after(kWaitForStagingMs, [self = shared_from_this()] {
    self->strand_.post([self] {
      self->second_transfer_ = next_transfer_id();
      self->send_init(self->second_transfer_, &Upload::on_second_init);
    });
  });
}

void Upload::on_second_init(const Result<wire::Init::Answer>& answer) {
  if (spent_ || sender_.error() || initialised_) {
    return;
  }
  if (!answer && is_lost(answer.error())) {
    recover();
    return;
  }
  const bool is_better = answer && has_own_staging(*answer);
  drop_transfer(is_better ? std::exchange(transfer_, second_transfer_) : second_transfer_);
  if (!is_better) {
    try_init_again();
    return;
  }
  bases_.move_to(shared_from_this(), transfer_);
  initialise(*answer);
  go_on();
}

void Upload::initialise(const wire::Init::Answer& answer) {
  initialised_ = true;
  staging_name_ = answer.staging_name;
  auto checkpoint = context_.journal.find_checkpoint(path_);
  if (checkpoint && checkpoint->staging_name != staging_name_) {
    checkpoint.reset();
  }
  if (!checkpoint || answer.kept_size == 0) {
    context_.journal.start_checkpoint(path_, staging_name_);
  }
  kept_size_ = answer.kept_size;
  drop_kept();
  bases_.know_staging(shared_from_this(), answer.kept_size, checkpoint);
}

// A new name: perhaps the content is known under another. Only a sample of chunks is indexed, so
// the whole front of the file is asked for.
void Upload::add_similar() {
  if (!bases_.knows_nothing() || !tail_) {
    return;
  }
  hash::ChunkList front;
  static_cast<void>(delta::append_chunks(tail_->bytes, false, delta::ChunkSizes{}, front));
  std::vector<hash::BlockHash> ids;
  ids.reserve(front.size());
  for (const hash::Chunk& chunk : front) {
    ids.push_back(chunk.id);
  }
  for (const KnownFile& known : context_.journal.find_similar(ids, kMaxSimilar)) {
    log::debug(path_, " resembles ", known.path);
    bases_.add_file(shared_from_this(), known.path, known.key);
  }
}

bool Upload::is_ready() const {
  return initialised_ && !alone_ && (!tail_ || bases_.ready(tail_start_ + pieces_size_));
}

// Something came that cut() may have waited for.
void Upload::go_on() {
  if (!waiting_ || !is_ready()) {
    return;
  }
  waiting_ = false;
  if (cut(wait_at_end_)) {
    run_queued();
  }
}

}  // namespace cpaway::upload
