// An upload between init and commit or cancel.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/agent/bases.h"
#include "engine/agent/staging.h"
#include "engine/hash/digest.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// Runs on the transfer's strand, but for create and bases().
//
// The SHA-256 of the file runs along with the blocks: a good block that begins where the hashed
// start of the file ends extends it, one that lands inside starts it anew at 0, and what is not
// hashed by then is read at commit.
//
// While each block is what the target's old version holds at the same place, blocks are only noted:
// a file that turns out identical is never written. The first other block makes the copies.
class Transfer {
 public:
  // Unless it `may_resume` it neither finds nor shows what an earlier upload has left.
  [[nodiscard]] static Result<std::shared_ptr<Transfer>> create(const Root& root,
                                                                const wire::Init& request,
                                                                bool may_resume);
  Transfer(StagingFile file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  // Keeps the staging file for the next upload, unless discard() was called or it is empty.
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] StagingFile& file() { return file_; }
  [[nodiscard]] Bases& bases() { return bases_; }

  // Writes, reads back, and answers with the hash of what was read.
  [[nodiscard]] Result<wire::Block::Answer> write_block(const wire::Block& block, ByteSpan bytes);
  // Puts the block together first; nothing is written where its hash is not what it should be.
  [[nodiscard]] Result<wire::Block::Answer> write_delta(const wire::DeltaBlock& block,
                                                        ByteSpan literals);
  [[nodiscard]] Result<Bytes> read(uint64_t offset, uint32_t size);
  [[nodiscard]] Status truncate(uint64_t size);
  [[nodiscard]] Status try_xattr(const wire::Xattr& xattr, bool remove);
  [[nodiscard]] Status try_group(uint32_t gid);
  // Takes the staging file's name away: no commit can follow.
  [[nodiscard]] Status hide();
  [[nodiscard]] Result<uint64_t> seek(uint64_t offset, bool hole);
  [[nodiscard]] Status allocate(const wire::AllocateTransfer& request);
  [[nodiscard]] Result<uint64_t> copy(const wire::CopyTransfer& request, int source);
  [[nodiscard]] Result<wire::TransferStatus::Answer> status() const;
  // The old version, where the whole upload is what that holds; null where it is not.
  [[nodiscard]] Bases::Pointer identical_to(uint64_t size) const;
  // Gives the file its final size and returns its SHA-256; zeros where nobody has asked for it and
  // most of what would have to be read are holes.
  [[nodiscard]] Result<hash::Sha256Value> finish(uint64_t size, bool is_asked);
  // The SHA-256 of the noted blocks.
  [[nodiscard]] hash::Sha256Value noted_digest() const { return digest_.value(); }
  void discard() { discarded_ = true; }

 private:
  struct Noted {
    uint64_t offset;
    uint32_t size;
    hash::BlockHash hash;
  };
  struct Assembled {
    ByteSpan bytes;
    bool complete = true;  // false: a basis was short or missing, zeros are in its place
  };
  [[nodiscard]] Result<Assembled> assemble(const wire::DeltaBlock& block, ByteSpan literals);
  [[nodiscard]] bool can_note(const wire::DeltaBlock& block) const;
  [[nodiscard]] Result<wire::Block::Answer> store(uint64_t offset, const hash::BlockHash& hash,
                                                  ByteSpan bytes);
  [[nodiscard]] Status make_copy(const Basis& old, const Noted& noted, std::span<uint8_t> buffer);
  [[nodiscard]] Status make_copies();
  void extend_digest(uint64_t offset, ByteSpan bytes);
  void reset_digest_above(uint64_t offset);

  StagingFile file_;
  const std::string path_;
  Bases bases_;
  std::vector<Noted> noted_;  // from 0 on, without gaps
  uint64_t noted_end_ = 0;
  bool may_note_ = true;  // nothing else has happened to the file yet
  uint64_t bytes_received_ = 0;
  uint64_t bytes_acknowledged_ = 0;
  hash::Sha256 digest_;
  uint64_t bytes_hashed_ = 0;
  bool hash_at_end_ = false;  // the running digest does not count
  bool discarded_ = false;
};

}  // namespace cpaway::agent
