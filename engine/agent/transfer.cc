#include "engine/agent/transfer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "engine/agent/attr.h"
#include "engine/agent/ranges.h"
#include "engine/agent/verified_io.h"
#include "engine/agent/xattr.h"
#include "engine/base/strings.h"
#include "engine/delta/compress.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {
namespace {

// More than this of holes is not hashed unasked, bytes.
constexpr uint64_t kMaxHashedHoles = 64UL << 20U;
// A terabyte of whole blocks; what is behind is copied.
constexpr size_t kMaxNoted = 1UL << 20U;

Status truncate_fd(int fd, uint64_t size) {
  if (size > INT64_MAX) {
    return fail_os(EINVAL, "size");
  }
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    return fail_os(errno, "truncate");
  }
  return {};
}

bool is_same_version(const wire::Attr& a, const wire::Attr& b) {
  return a.ino == b.ino && a.dev == b.dev && a.size == b.size && a.mtime == b.mtime &&
         a.ctime == b.ctime;
}

// The size of the literal segments.
Result<size_t> check_segments(const wire::DeltaBlock& block) {
  uint64_t size = 0;
  size_t literals = 0;
  for (const wire::Segment& segment : block.segments) {
    size += segment.size;
    literals += segment.basis == wire::kLiteral ? segment.size : 0;
    if (segment.size == 0 || size > wire::kBlockSize) {
      return fail_os(EINVAL, "segment");
    }
  }
  if (size != block.size || size == 0) {
    return fail_os(EINVAL, "segments");
  }
  return literals;
}

bool is_copy_of_same_place(const wire::DeltaBlock& block) {
  return block.segments.size() == 1 && block.segments[0].basis != wire::kLiteral &&
         block.segments[0].offset == block.offset;
}

}  // namespace

Result<std::shared_ptr<Transfer>> Transfer::create(const Root& root, const wire::Init& request,
                                                   bool may_resume) {
  if (!may_resume && !request.staging_name.empty()) {
    return fail_os(ENOENT, request.staging_name);
  }
  CPAWAY_ASSIGN(StagingFile file, may_resume
                                      ? StagingFile::find(root, request.path, request.staging_name)
                                      : StagingFile::plan(root, request.path));
  auto transfer = std::make_shared<Transfer>(std::move(file), request.path);
  // After a lost connection the agent before this one may still be writing what it had read.
  transfer->hash_at_end_ = !request.staging_name.empty();
  StagingFile& found = transfer->file_;
  if (found.kept_size() > 0) {
    Basis kept;
    kept.fd.reset(::dup(found.fd()));
    if (!kept.fd) {
      return fail_os(errno, "staging file");
    }
    CPAWAY_TRY(transfer->bases_.add(wire::kStagingBasis, std::move(kept)));
  }
  return transfer;
}

Transfer::~Transfer() {
  if (!discarded_ && (bytes_acknowledged_ > 0 || file_.kept_size() > 0)) {
    file_.keep();
  }
}

Result<wire::Block::Answer> Transfer::write_block(const wire::Block& block, ByteSpan bytes) {
  if (bytes.empty() || bytes.size() > wire::kBlockSize) {
    return fail_os(EINVAL, "block size");
  }
  CPAWAY_TRY(make_copies());
  return store(block.offset, block.hash, bytes);
}

Result<wire::Block::Answer> Transfer::store(uint64_t offset, const hash::BlockHash& hash,
                                            ByteSpan bytes) {
  bytes_received_ += bytes.size();
  reset_digest_above(offset);
  CPAWAY_ASSIGN(const ByteSpan read, write_and_read_back(file_.fd(), bytes, offset));
  const wire::Block::Answer answer{offset, static_cast<uint32_t>(bytes.size()),
                                   hash::block_hash(read)};
  if (answer.hash == hash) {
    extend_digest(offset, read);
  }  // else the client will send it again
  return answer;
}

void Transfer::extend_digest(uint64_t offset, ByteSpan bytes) {
  bytes_acknowledged_ += bytes.size();
  if (offset == bytes_hashed_) {
    digest_.update(bytes);
    bytes_hashed_ += bytes.size();
  }
}

Result<Transfer::Assembled> Transfer::assemble(const wire::DeltaBlock& block, ByteSpan literals) {
  CPAWAY_ASSIGN(const size_t literal_size, check_segments(block));
  Bytes plain;
  if (block.coding == wire::kZstd) {
    CPAWAY_ASSIGN(plain, delta::decompress(literals, literal_size));
    literals = plain;
  }
  if (literals.size() != literal_size) {
    return fail_os(EINVAL, "literal segments");
  }
  Assembled out;
  const std::span<uint8_t> buffer = assembly_buffer().first(block.size);
  size_t at = 0;
  for (const wire::Segment& segment : block.segments) {
    const std::span<uint8_t> part = buffer.subspan(at, segment.size);
    at += segment.size;
    if (segment.basis == wire::kLiteral) {
      std::copy_n(literals.begin(), segment.size, part.begin());
      literals = literals.subspan(segment.size);
      continue;
    }
    // A basis that is shorter than the client believes, or is not there: another hash, which the
    // client will see, unless there should be zeros.
    size_t got = 0;
    if (const auto basis = bases_.find(segment.basis)) {
      CPAWAY_ASSIGN(got, read_range((*basis)->fd.get(), part, segment.offset));
    }
    std::fill(part.begin() + static_cast<ptrdiff_t>(got), part.end(), uint8_t{0});
    out.complete = out.complete && got == part.size();
  }
  out.bytes = buffer;
  return out;
}

bool Transfer::can_note(const wire::DeltaBlock& block) const {
  if (!may_note_ || block.offset != noted_end_ || noted_.size() >= kMaxNoted) {
    return false;
  }
  const auto basis = bases_.find(block.segments[0].basis);
  return basis && (*basis)->is_target;
}

Result<wire::Block::Answer> Transfer::write_delta(const wire::DeltaBlock& block,
                                                  ByteSpan literals) {
  if (block.coding != wire::kPlain && block.coding != wire::kZstd) {
    return fail_os(EINVAL, "coding");
  }
  CPAWAY_ASSIGN(const Assembled assembled, assemble(block, literals));
  const ByteSpan bytes = assembled.bytes;
  const wire::Block::Answer answer{block.offset, block.size, hash::block_hash(bytes)};
  if (answer.hash != block.hash) {
    return answer;
  }
  const bool same_place = assembled.complete && is_copy_of_same_place(block);
  if (same_place && can_note(block)) {
    noted_.push_back({block.offset, block.size, block.hash});
    noted_end_ += block.size;
    extend_digest(block.offset, bytes);
    return answer;
  }
  CPAWAY_TRY(make_copies());
  if (same_place && block.segments[0].basis == wire::kStagingBasis) {
    reset_digest_above(block.offset);
    extend_digest(block.offset, bytes);
    return answer;
  }
  return store(block.offset, block.hash, bytes);
}

// `buffer` is as large as the block.
Status Transfer::make_copy(const Basis& old, const Noted& noted, std::span<uint8_t> buffer) {
  CPAWAY_ASSIGN(const size_t got, read_range(old.fd.get(), buffer, noted.offset));
  if (got != buffer.size() || hash::block_hash(buffer) != noted.hash) {
    return fail(Errc::conflict, concat(path_, " was changed by someone else"));
  }
  constexpr int kTries = 3;  // a block that the client sends would be sent again
  for (int i = 0; i < kTries; ++i) {
    CPAWAY_ASSIGN(const ByteSpan read, write_and_read_back(file_.fd(), buffer, noted.offset));
    if (hash::block_hash(read) == noted.hash) {
      return {};
    }
  }
  return fail(Errc::verify, path_);
}

// Makes the staging file, and gives it what was only noted so far. Where that fails nothing counts
// as copied, so that whatever comes next tries or fails again.
Status Transfer::make_copies() {
  may_note_ = false;
  CPAWAY_TRY(file_.ensure());
  if (noted_.empty()) {
    return {};
  }
  const auto old = bases_.target();
  std::vector<uint8_t> buffer(wire::kBlockSize);
  for (const Noted& noted : noted_) {
    CPAWAY_TRY(make_copy(*old, noted, std::span(buffer).first(noted.size)));
  }
  noted_.clear();
  return {};
}

Result<Bytes> Transfer::read(uint64_t offset, uint32_t size) {
  CPAWAY_TRY(make_copies());
  return read_at(file_.fd(), offset, size);
}

Status Transfer::truncate(uint64_t size) {
  CPAWAY_TRY(make_copies());
  reset_digest_above(size);
  return truncate_fd(file_.fd(), size);
}

Status Transfer::try_xattr(const wire::Xattr& xattr, bool remove) {
  CPAWAY_TRY(make_copies());
  Location self;
  self.dir = file_.fd();
  if (remove) {
    ignore(remove_xattr(self, xattr.name), "commit removes it, too");
    return {};
  }
  file_.note_tried(xattr.name);
  return set_xattr(self, xattr, 0);
}

Status Transfer::try_group(uint32_t gid) {
  CPAWAY_TRY(make_copies());
  const int result = ::fchown(file_.fd(), static_cast<uid_t>(-1), gid);
  return result == 0 ? Status{} : Status(fail_os(errno, "group"));
}

Status Transfer::hide() {
  CPAWAY_TRY(make_copies());
  return file_.hide();
}

Result<wire::TransferStatus::Answer> Transfer::status() const {
  struct stat st {};
  if (file_.fd() >= 0 && ::fstat(file_.fd(), &st) != 0) {
    return fail_os(errno, path_);
  }
  return wire::TransferStatus::Answer{path_, bytes_received_, bytes_acknowledged_,
                                      static_cast<uint64_t>(st.st_size), bytes_hashed_};
}

Bases::Pointer Transfer::identical_to(uint64_t size) const {
  auto old = bases_.target();
  if (!may_note_ || old == nullptr || noted_end_ != size || old->attr.size != size) {
    return nullptr;
  }
  const auto now = read_attr(old->fd.get());
  return now && is_same_version(*now, old->attr) ? old : nullptr;
}

Result<uint64_t> Transfer::seek(uint64_t offset, bool hole) {
  CPAWAY_TRY(make_copies());
  return seek_in(file_.fd(), offset, hole);
}

Status Transfer::allocate(const wire::AllocateTransfer& request) {
  CPAWAY_TRY(make_copies());
  if ((request.mode & (wire::kPunchHole | wire::kZeroRange)) != 0) {
    reset_digest_above(request.offset);
  }
  return allocate_in(file_.fd(), request.mode, request.offset, request.size);
}

Result<uint64_t> Transfer::copy(const wire::CopyTransfer& request, int source) {
  CPAWAY_TRY(make_copies());
  reset_digest_above(request.offset);
  const CopyJob job{source, request.source_offset, file_.fd(), request.offset, request.size};
  return copy_in(job, [this](uint64_t offset, ByteSpan piece) { extend_digest(offset, piece); });
}

Result<hash::Sha256Value> Transfer::finish(uint64_t size, bool is_asked) {
  CPAWAY_TRY(make_copies());
  struct stat st {};
  if (::fstat(file_.fd(), &st) != 0) {
    return fail_os(errno, path_);
  }
  // Cutting to the same size would give back room that was allocated behind it.
  if (static_cast<uint64_t>(st.st_size) != size) {
    CPAWAY_TRY(truncate(size));
  }
  if (hash_at_end_) {
    digest_ = hash::Sha256();
    bytes_hashed_ = 0;
  }
  const uint64_t on_disk = static_cast<uint64_t>(st.st_blocks) * 512;
  if (!is_asked && bytes_hashed_ != size && size > on_disk && size - on_disk > kMaxHashedHoles) {
    return hash::Sha256Value{};
  }
  CPAWAY_ASSIGN(bytes_hashed_, digest_range(file_.fd(), bytes_hashed_, size, digest_));
  if (bytes_hashed_ != size) {
    return fail_os(EIO, "the staging file was cut by someone else");
  }
  return digest_.value();
}

void Transfer::reset_digest_above(uint64_t offset) {
  if (offset < bytes_hashed_) {
    digest_ = hash::Sha256();
    bytes_hashed_ = 0;
  }
}

}  // namespace cpaway::agent
