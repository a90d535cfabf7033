#include "engine/upload/basis_set.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/delta/chunk_codec.h"
#include "engine/upload/block_sender.h"

namespace cpaway::upload {
namespace {

// Asked for first, bytes; the next lists are as long as they may be.
constexpr uint32_t kFirstList = 16U << 20U;
// Pieces of a staging file: what of a cut upload is sent again is at most one of these.
constexpr uint32_t kStagingPiece = 256U << 10U;

}  // namespace

VersionKey key_of(const wire::Attr& attr) {
  return {attr.dev,
          attr.ino,
          attr.size,
          attr.mtime.seconds,
          attr.ctime.seconds,
          attr.mtime.nanoseconds,
          attr.ctime.nanoseconds};
}

BasisSet::FilePtr BasisSet::add(uint8_t number, std::string path) {
  auto file = std::make_shared<File>();
  file->number = number;
  file->path = std::move(path);
  files_.push_back(file);
  static_cast<void>(matcher_.add_basis(&file->basis, number == wire::kStagingBasis
                                                         ? delta::BasisKind::staging
                                                         : delta::BasisKind::file));
  return file;
}

void BasisSet::add_staging() {
  add(wire::kStagingBasis, {})->answered = true;
}

void BasisSet::know_staging(const Owner& owner, uint64_t size,
                            const std::optional<Checkpoint>& checkpoint) {
  const FilePtr& file = files_.front();
  file->size = size;
  if (checkpoint) {
    for (const AcknowledgedBlock& block : checkpoint->blocks) {
      if (block.offset != file->known || block.offset + block.block.size > size) {
        break;
      }
      file->basis.add(block.offset, {block.block});
      file->known += block.block.size;
    }
  }
  ask(owner, file);
}

void BasisSet::add_file(const Owner& owner, const std::string& path,
                        const std::optional<VersionKey>& expected) {
  const auto taken = std::count_if(files_.begin(), files_.end(), [](const FilePtr& file) {
    return file->number != wire::kStagingBasis;
  });
  if (taken >= wire::kMaxBasis) {
    return;
  }
  const FilePtr file = add(static_cast<uint8_t>(taken + 1), path);
  open(owner, file);
  if (expected && !know(*file, *expected)) {
    file->size = expected->size;
    ask(owner, file);
  }
}

void BasisSet::open(const Owner& owner, const FilePtr& file) {
  client::call(
      agent_, wire::AddBasis{transfer_, file->number, file->path},
      [this, owner, file](Result<wire::Attr> attr) {
        strand_.post([this, owner, file, attr = std::move(attr)] { on_opened(owner, file, attr); });
      },
      nullptr, client::Priority::bulk);
}

// True where the journal knows the version.
bool BasisSet::know(File& file, const VersionKey& key) {
  file.expected = key;
  const auto known = journal_.find_version(key);
  if (!known || known->chunks.empty()) {
    return false;
  }
  file.basis.add(0, known->chunks);
  file.size = key.size;
  file.known = key.size;
  knew_target_ = knew_target_ || file.path == target_;
  return true;
}

void BasisSet::on_opened(const Owner& owner, const FilePtr& file, Result<wire::Attr> attr) {
  if (!attr && is_lost(attr.error())) {
    lost_();
    return;
  }
  file->answered = true;
  file->refused = !attr;
  if (!attr) {
    log::debug("basis ", file->path, ": ", attr.error().to_string());
    file->size = 0;
  } else if (file->expected != key_of(*attr) && !know(*file, key_of(*attr))) {
    file->size = attr->size;
    ask(owner, file);
  }
  changed_();
}

// One list at a time, since the next begins where the chunks of this one end.
void BasisSet::ask(const Owner& owner, const FilePtr& file) {
  if (file->asking || file->known >= file->size) {
    return;
  }
  file->asking = true;
  wire::ListChunks request;
  request.transfer = transfer_;
  request.basis = file->number;
  request.offset = file->known;
  request.size = file->known == 0 ? kFirstList : wire::ListChunks::kMaxSize;
  const delta::ChunkSizes sizes = file->number == wire::kStagingBasis
                                      ? delta::fixed_chunks(kStagingPiece)
                                      : delta::ChunkSizes{};
  request.min = sizes.min;
  request.average = sizes.average;
  request.max = sizes.max;
  client::call_bulk(
      agent_, request,
      [this, owner, file,
       transfer = transfer_](const Result<client::WithBulk<wire::Empty>>& answer) {
        Result<Bytes> packed = answer
                                   ? Result<Bytes>(Bytes(answer->bulk.begin(), answer->bulk.end()))
                                   : Result<Bytes>(fail(answer.error()));
        strand_.post([this, owner, file, transfer, packed = std::move(packed)] {
          on_chunks(owner, file, transfer, packed);
        });
      },
      client::Priority::bulk);
}

void BasisSet::on_chunks(const Owner& owner, const FilePtr& file, uint32_t transfer,
                         const Result<Bytes>& packed) {
  file->asking = false;
  if (!packed && is_lost(packed.error()) && !file->refused) {
    if (transfer == transfer_) {
      lost_();
    } else {
      ask(owner, file);  // of the transfer that took the place of that one
    }
    return;
  }
  auto list = packed ? delta::decode_chunk_list(*packed, wire::ListChunks::kMaxSize)
                     : Result<hash::ChunkList>(fail(packed.error()));
  if (list && !list->empty()) {
    file->basis.add(file->known, *list);
    for (const hash::Chunk& chunk : *list) {
      file->known += chunk.size;
    }
    ask(owner, file);
  } else {
    // What is known of it serves; the rest is sent.
    log::debug("chunks of ", file->path, ": ", list ? "none" : list.error().to_string());
    file->size = std::min(file->size, file->known);
  }
  changed_();
}

void BasisSet::move_to(const Owner& owner, uint32_t transfer) {
  transfer_ = transfer;
  for (const FilePtr& file : files_) {
    if (file->number != wire::kStagingBasis) {  // init has found that one
      open(owner, file);
    }
    ask(owner, file);
  }
}

bool BasisSet::ready(uint64_t position) const {
  return std::all_of(files_.begin(), files_.end(), [position](const FilePtr& file) {
    const bool told_all = !file->asking && file->known >= file->size;  // if not of each chunk
    return file->answered &&
           (told_all || file->basis.covered_to() >= std::min(file->size, position + kLookahead));
  });
}

bool BasisSet::knows_nothing() const {
  return std::all_of(files_.begin(), files_.end(),
                     [](const FilePtr& file) { return file->size == 0; });
}

void BasisSet::rename_target(const std::string& path) {
  for (const FilePtr& file : files_) {
    if (file->path == target_) {
      file->path = path;
    }
  }
  target_ = path;
}

bool BasisSet::is_target(uint8_t number) const {
  return std::any_of(files_.begin(), files_.end(), [this, number](const FilePtr& file) {
    return file->number == number && number != wire::kStagingBasis && file->path == target_;
  });
}

std::optional<delta::Piece> BasisSet::next(ByteSpan data, bool at_end) {
  return matcher_.next(data, at_end);
}

void BasisSet::restart(uint64_t position) {
  matcher_.restart(position);
}

uint8_t BasisSet::number_of(const delta::Piece& piece) const {
  return files_[piece.source->basis]->number;
}

}  // namespace cpaway::upload
