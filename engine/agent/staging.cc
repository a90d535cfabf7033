#include "engine/agent/staging.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "engine/agent/verified_io.h"
#include "engine/wire/frame.h"
#include "engine/wire/names.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kStagingMode = 0600;

Status truncate_fd(int fd, uint64_t size) {
  if (size > INT64_MAX) {
    return fail_os(EINVAL, "size");
  }
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    return fail_os(errno, "truncate");
  }
  return {};
}

}  // namespace

Result<StagingFile> StagingFile::create(const Root& root, const std::string& path) {
  CPAWAY_ASSIGN(Location at, root.locate_name(path, EISDIR));
  at.name = wire::new_staging_name();
  StagingFile file;
  CPAWAY_ASSIGN(file.fd_, open_at(at, O_RDWR | O_CREAT | O_EXCL, kStagingMode));
  file.name_ = at.name;
  if (at.owned) {
    file.dir_ = std::move(at.owned);
    return file;
  }
  auto dir = duplicate_dir(at);
  if (!dir) {
    ::unlinkat(at.dir, at.name.c_str(), 0);
    file.name_.clear();
    return fail(dir.error());
  }
  file.dir_ = std::move(*dir);
  return file;
}

StagingFile::StagingFile(StagingFile&& other) noexcept
    : dir_(std::move(other.dir_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)) {}

StagingFile::~StagingFile() {
  if (!name_.empty()) {
    ::unlinkat(dir_.get(), name_.c_str(), 0);
  }
}

Status StagingFile::rename_to(const Location& to, bool exclusive) {
  const unsigned flags = exclusive ? RENAME_NOREPLACE : 0;
  const char* from = name_.c_str();
  const int result = exclusive ? ::renameat2(dir_.get(), from, to.dir, to.name.c_str(), flags)
                               : ::renameat(dir_.get(), from, to.dir, to.name.c_str());
  if (result != 0) {
    if (exclusive && (errno == EINVAL || errno == ENOSYS)) {
      return link_to(to);
    }
    return fail_os(errno, to.name);
  }
  name_.clear();
  return {};
}

Status StagingFile::link_to(const Location& to) {
  if (::linkat(dir_.get(), name_.c_str(), to.dir, to.name.c_str(), 0) != 0) {
    return fail_os(errno, to.name);
  }
  ::unlinkat(dir_.get(), name_.c_str(), 0);
  name_.clear();
  return {};
}

Result<std::shared_ptr<Transfer>> Transfer::create(const Root& root, const std::string& path) {
  CPAWAY_ASSIGN(StagingFile file, StagingFile::create(root, path));
  return std::make_shared<Transfer>(std::move(file), path);
}

Result<wire::Block::Answer> Transfer::write_block(const wire::Block& block, ByteSpan bytes) {
  if (bytes.empty() || bytes.size() > wire::kBlockSize) {
    return fail_os(EINVAL, "block size");
  }
  bytes_received_ += bytes.size();
  reset_digest_above(block.offset);
  CPAWAY_ASSIGN(const ByteSpan read, write_and_read_back(file_.fd(), bytes, block.offset));
  const wire::Block::Answer answer{block.offset, static_cast<uint32_t>(bytes.size()),
                                   hash::block_hash(read)};
  if (answer.hash != block.hash) {
    return answer;  // the client will send it again
  }
  bytes_acknowledged_ += bytes.size();
  if (block.offset == bytes_hashed_) {
    digest_.update(read);
    bytes_hashed_ += read.size();
  }
  return answer;
}

Status Transfer::truncate(uint64_t size) {
  reset_digest_above(size);
  return truncate_fd(file_.fd(), size);
}

Result<wire::TransferStatus::Answer> Transfer::status() const {
  struct stat st {};
  if (::fstat(file_.fd(), &st) != 0) {
    return fail_os(errno, path_);
  }
  return wire::TransferStatus::Answer{path_, bytes_received_, bytes_acknowledged_,
                                      static_cast<uint64_t>(st.st_size), bytes_hashed_};
}

Result<hash::Sha256Value> Transfer::finish(uint64_t size) {
  CPAWAY_TRY(truncate(size));
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
