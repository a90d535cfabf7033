// The beginning of a transfer: its staging file, and what it may copy from.
#include <algorithm>

#include "engine/base/log.h"
#include "engine/delta/chunker.h"
#include "engine/upload/upload.h"

namespace cpaway::upload {
namespace {

// Files found by what they hold.
constexpr size_t kMaxSimilar = 2;

}  // namespace

// Everything is sent at once; what is answered is waited for with the first block.
void Upload::prepare() {
  prepared_ = true;
  const auto self = shared_from_this();
  // Bulk, as the blocks: it must reach the agent before them.
  client::call(
      context_.agent, wire::Init{transfer_, path_, {}},
      [self](Result<wire::Init::Answer> answer) {
        self->strand_.post([self, answer = std::move(answer)] { self->on_init(answer); });
      },
      nullptr, client::Priority::bulk);
  bases_.add_staging();
  if (hints_.old_version) {
    bases_.add_file(self, path_, hints_.old_version);
  }
  if (!hints_.similar_path.empty()) {
    bases_.add_file(self, hints_.similar_path, std::nullopt);
  }
}

void Upload::on_init(const Result<wire::Init::Answer>& answer) {
  if (!answer && is_lost(answer.error())) {
    recover();
    return;
  }
  if (!answer) {
    fail_with(answer.error());
    return;
  }
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
  return initialised_ && bases_.ready(tail_start_ + pieces_size_);
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
