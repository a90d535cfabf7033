// What an upload may copy from, and what is known of it.
//
// The staging file of an interrupted upload, the old version of the target, and other files that
// the journal or a name suggests. What they hold comes from the journal where it knows exactly
// that version, else from the agent, in pieces, while the upload runs. Until enough is known the
// upload waits (ready()). Strand only; the owner, given with each call that sends, is kept alive
// until the answer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/executor.h"
#include "engine/client/requester.h"
#include "engine/delta/matcher.h"
#include "engine/upload/journal.h"
#include "engine/wire/message.h"

namespace cpaway::upload {

[[nodiscard]] VersionKey key_of(const wire::Attr& attr);

class BasisSet {
 public:
  using Owner = std::shared_ptr<void>;
  using Event = std::function<void()>;

  // Content is waited for this far ahead of the upload, bytes: what was cut out of a file is found
  // again behind it.
  static constexpr uint64_t kLookahead = 64ULL << 20U;

  // `changed` runs on the strand when something has come that ready() may have waited for; `lost`
  // when the transfer was not there any more.
  // `target` is the path that the file will have.
  BasisSet(client::Requester& agent, Strand strand, Journal& journal, uint32_t transfer,
           std::string target, Event changed, Event lost)
      : agent_(agent),
        strand_(std::move(strand)),
        journal_(journal),
        transfer_(transfer),
        target_(std::move(target)),
        changed_(std::move(changed)),
        lost_(std::move(lost)) {}

  // The staging file; the first to be added. What it holds comes later:
  void add_staging();
  // `size` bytes of an earlier upload; `checkpoint` may know some of them.
  void know_staging(const Owner& owner, uint64_t size, const std::optional<Checkpoint>& checkpoint);
  // A file, unless there are too many; `expected` is the version it is believed to be.
  void add_file(const Owner& owner, const std::string& path,
                const std::optional<VersionKey>& expected);
  // Another transfer, which has them still to be opened. What is known of them stays.
  void move_to(const Owner& owner, uint32_t transfer);

  // True where matching at `position` needs to wait for nothing.
  [[nodiscard]] bool ready(uint64_t position) const;
  // True where there is nothing to copy from.
  [[nodiscard]] bool knows_nothing() const;
  // True for a basis that has the target's name.
  [[nodiscard]] bool is_target(uint8_t number) const;
  // The target, and its old version with it, is under another path now.
  void rename_target(const std::string& path);
  // True where the journal knew what the target's old version holds.
  [[nodiscard]] bool knew_target() const { return knew_target_; }

  // Looks at what follows `position` in the stream (Matcher::next).
  [[nodiscard]] std::optional<delta::Piece> next(ByteSpan data, bool at_end);
  void restart(uint64_t position);
  // The number by which the protocol knows the basis that a piece comes from.
  [[nodiscard]] uint8_t number_of(const delta::Piece& piece) const;

 private:
  struct File {
    uint8_t number = 0;
    std::string path;
    std::optional<VersionKey> expected;
    bool answered = false;  // it is open at the agent, or is not to be had
    uint64_t size = 0;      // bytes to be known
    uint64_t known = 0;     // up to where chunks are known
    bool refused = false;   // the agent could not open it
    bool asking = false;    // a list is on its way
    delta::Basis basis;
  };
  using FilePtr = std::shared_ptr<File>;

  FilePtr add(uint8_t number, std::string path);
  void ask(const Owner& owner, const FilePtr& file);
  void on_opened(const Owner& owner, const FilePtr& file, Result<wire::Attr> attr);
  void on_chunks(const Owner& owner, const FilePtr& file, uint32_t transfer,
                 const Result<Bytes>& packed);
  void open(const Owner& owner, const FilePtr& file);
  [[nodiscard]] bool know(File& file, const VersionKey& key);

  client::Requester& agent_;
  const Strand strand_;
  Journal& journal_;
  uint32_t transfer_;
  std::string target_;
  const Event changed_;
  const Event lost_;
  bool knew_target_ = false;
  std::vector<FilePtr> files_;  // in the matcher's order
  delta::Matcher matcher_;
};

}  // namespace cpaway::upload
