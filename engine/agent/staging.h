// Files on their way in: a staging file beside its target, and a transfer that fills one.
#pragma once

#include <string>

#include "engine/agent/file_access.h"
#include "engine/hash/digest.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// A file under a staging name, removed unless it gets its final name. Movable; one thread at a
// time.
class StagingFile {
 public:
  // Beside `path`, mode 0600. Errors as of open(2).
  [[nodiscard]] static Result<StagingFile> create(const Root& root, const std::string& path);
  StagingFile(StagingFile&& other) noexcept;
  StagingFile& operator=(StagingFile&&) = delete;
  ~StagingFile();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  // Takes the final name, over a file that has it; with `exclusive` EEXIST where the name is taken.
  [[nodiscard]] Status rename_to(const Location& to, bool exclusive);

 private:
  StagingFile() = default;
  // For filesystems that know no RENAME_NOREPLACE.
  [[nodiscard]] Status link_to(const Location& to);

  UniqueFd dir_;
  std::string name_;  // empty once it has its final name
  UniqueFd fd_;
};

// An upload between init and commit or cancel. Runs on the transfer's strand, but for create.
//
// The SHA-256 of the file runs along with the blocks: a good block that begins where the hashed
// start of the file ends extends it, one that lands inside starts it anew at 0, and what is not
// hashed by then is read at commit.
class Transfer {
 public:
  [[nodiscard]] static Result<std::shared_ptr<Transfer>> create(const Root& root,
                                                                const std::string& path);
  explicit Transfer(StagingFile file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}

  [[nodiscard]] const StagingFile& file() const { return file_; }
  [[nodiscard]] StagingFile& file() { return file_; }

  // Writes, reads back, and answers with the hash of what was read.
  [[nodiscard]] Result<wire::Block::Answer> write_block(const wire::Block& block, ByteSpan bytes);
  [[nodiscard]] Status truncate(uint64_t size);
  [[nodiscard]] Result<wire::TransferStatus::Answer> status() const;
  // Gives the file its final size and returns its SHA-256.
  [[nodiscard]] Result<hash::Sha256Value> finish(uint64_t size);

 private:
  void reset_digest_above(uint64_t offset);

  StagingFile file_;
  const std::string path_;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_acknowledged_ = 0;
  hash::Sha256 digest_;
  uint64_t bytes_hashed_ = 0;
};

}  // namespace cpaway::agent
