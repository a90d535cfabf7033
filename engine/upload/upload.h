// One staged upload: from the first byte that a program writes to the commit.
//
// A state machine on a strand of its own: write, truncate, read, commit and cancel are queued in
// the order of the calls, and their callbacks come from the strand. Bytes are cut into blocks as
// they come; each is hashed and sent at once, and kept in the window until the agent has
// acknowledged it with the hash of what it read back. A file that fits one block is sent with the
// commit, as one message. The SHA-256 of the file is computed as it streams; a program that goes
// back and writes over what was already sent leaves it unknown, and every block is then verified
// by its own hash only.
//
// Owner: fs, which keeps one upload an inode at most. After commit or cancel the upload is spent.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/executor.h"
#include "engine/base/mutex.h"
#include "engine/client/requester.h"
#include "engine/upload/block_sender.h"
#include "engine/upload/window.h"

namespace cpaway::upload {

// Services that all uploads of a mount share; they outlive every upload.
struct Context {
  client::Requester& agent;
  Executor& workers;  // hashing
  Window& window;
  int verify_retries = 3;
};

class Upload : public std::enable_shared_from_this<Upload> {
 public:
  using Done = std::function<void(Status)>;
  using ReadDone = std::function<void(Result<Bytes>)>;
  using CommitDone = std::function<void(Result<wire::CommitAnswer>)>;

  // Gaps of more than this are not hashed as zeros: the file's SHA-256 is then unknown.
  static constexpr uint64_t kMaxHashedGap = 4ULL << 30U;

  // `path` is where the staging file belongs: beside it.
  [[nodiscard]] static std::shared_ptr<Upload> create(const Context& context, std::string path);

  // Copies `data` (1 to kBlockSize bytes). `done` is called when the window has room for it, at
  // once or later: not when it has arrived. After a failure it gets that failure.
  void write(uint64_t offset, ByteSpan data, Done done);
  void truncate(uint64_t size, Done done);
  // What was written there, shorter at the end.
  void read(uint64_t offset, uint32_t size, ReadDone done);
  // Sends the rest, waits for every acknowledgement, and commits. Once.
  void commit(wire::Placement placement, bool durable, CommitDone done);
  // Gives the upload up and removes the staging file; callbacks that wait get Errc::cancelled.
  void cancel();

  // Any thread. As the program sees the file, writes in progress included.
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const Progress& progress() const { return progress_; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  Upload(const Context& context, std::string path);

  void on_write(uint64_t offset, Bytes data);
  void on_truncate(uint64_t size, const Done& done);
  void on_read(uint64_t offset, uint32_t size, const ReadDone& done);
  void on_commit(wire::Placement placement, bool durable, CommitDone done);

  void append(uint64_t offset, ByteSpan data);
  void start_tail(uint64_t offset);
  void seal_tail();
  void hash_tail();
  void hash_gap(uint64_t to);
  void send_init();
  [[nodiscard]] bool fits_one_message(const wire::Placement& placement) const;
  void put_file(wire::Placement placement, bool durable, int tries, CommitDone done);
  void send_commit(wire::Placement placement, bool durable, CommitDone done);
  void fail_with(Error error);
  [[nodiscard]] bool check(const std::function<void(Error)>& report) const;

  // Posts a member call to the strand, with the upload kept alive.
  void post(std::function<void(Upload&)> job);

  const Context context_;
  const std::string path_;
  const uint32_t transfer_;
  const Strand strand_;

  std::atomic<uint64_t> size_{0};
  std::atomic<bool> failed_{false};
  Progress progress_;

  // Strand only.
  BlockSender sender_;
  std::shared_ptr<WindowBytes> tail_;  // the block being filled; null where there is none
  uint64_t tail_start_ = 0;
  bool init_sent_ = false;
  bool spent_ = false;
  hash::Sha256 sha256_;
  uint64_t hashed_ = 0;       // bytes that sha256_ has taken: the file's start
  bool sha256_known_ = true;  // nothing before hashed_ was written over
};

}  // namespace cpaway::upload
