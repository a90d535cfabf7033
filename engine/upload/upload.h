// One staged upload: from the first byte that a program writes to the commit.
//
// A state machine on a strand of its own: write, truncate, read, commit and cancel are queued in
// the order of the calls, and their callbacks come from the strand. Bytes are cut into chunks as
// they come, chunks that a basis holds become copies (BasisSet), and blocks of them are sent at
// once and kept in the window until the agent has acknowledged each with the hash of what it read
// back. A file that fits one block is sent with the commit, as one message. The SHA-256 of the file
// is computed as it streams; a program that goes back and writes over what was already sent leaves
// it unknown, and every block is then verified by its own hash only.
//
// A lost connection does not end it: once there is a new one, the transfer is opened again and what
// was not acknowledged is sent again (upload_recovery.cc).
//
// Owner: fs, which keeps one upload an inode at most. After commit or cancel the upload is spent.
#pragma once

#include <atomic>
#include <bit>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/executor.h"
#include "engine/base/mutex.h"
#include "engine/base/timer.h"
#include "engine/client/requester.h"
#include "engine/delta/compress.h"
#include "engine/upload/basis_set.h"
#include "engine/upload/block_sender.h"
#include "engine/upload/journal.h"
#include "engine/upload/window.h"

namespace cpaway::upload {

enum class Compress { automatic, off };

// Services that all uploads of a mount share; they outlive every upload.
struct Context {
  client::Requester& agent;
  Executor& workers;  // hashing, cutting, compressing
  Window& window;
  Timer& timer;
  Journal& journal;
  int verify_retries = 3;
  Compress compress = Compress::automatic;
};

// What the file may be like.
struct Hints {
  std::optional<VersionKey> old_version;  // of the target
  std::string similar_path;               // another file, by its name; "" for none
};

// True where a file of `size` would reach `end`, which the remote filesystem may not take: by a
// jump, or near the powers of two where filesystems have their limits. It is asked before the
// program gets its answer.
[[nodiscard]] constexpr bool is_far_jump(uint64_t size, uint64_t end) {
  constexpr uint64_t kTaken = (4ULL << 30U) - 1;  // by every filesystem
  constexpr uint64_t kJump = 1ULL << 30U;
  constexpr uint64_t kNear = 64ULL << 10U;
  if (end <= kTaken || end <= size) {
    return false;
  }
  const uint64_t limit = std::bit_floor(end + kNear);
  return end - size > kJump || limit > size || end - limit <= kNear;
}

class Upload : public std::enable_shared_from_this<Upload> {
 public:
  using Done = std::function<void(Status)>;
  using ReadDone = std::function<void(Result<Bytes>)>;
  using OffsetDone = std::function<void(Result<uint64_t>)>;
  using CommitDone = std::function<void(Result<wire::CommitAnswer>)>;

  // Lost connections without a block acknowledged between them.
  static constexpr int kMaxRecoveries = 5;
  // More than this of gaps in all is not hashed as zeros: the file's SHA-256 is then unknown.
  static constexpr uint64_t kMaxHashedGaps = 64ULL << 20U;

  // `path` is where the staging file belongs: beside it.
  [[nodiscard]] static std::shared_ptr<Upload> create(const Context& context, std::string path,
                                                      Hints hints = {});

  // Copies `data` (1 to kBlockSize bytes). `done` is called when the window has room for it, at
  // once or later: not when it has arrived. After a failure it gets that failure.
  void write(uint64_t offset, ByteSpan data, Done done);
  void truncate(uint64_t size, Done done);
  // What was written there, shorter at the end.
  void read(uint64_t offset, uint32_t size, ReadDone done);
  // Where data, or a hole, begins at `offset` or behind it; ENXIO beyond the end.
  void seek(uint64_t offset, bool hole, OffsetDone done);
  // fallocate(2), with wire's bits. Its failure does not end the upload.
  void allocate(uint32_t mode, uint64_t offset, uint64_t size, Done done);
  // Copies at the agent from what is open there as `source`, and gives how much. A failure ends the
  // upload, unless a program would then copy by reading and writing.
  void copy(uint64_t offset, uint32_t source, uint64_t source_offset, uint64_t size,
            OffsetDone done);
  // While its directory is renamed: calls `held` when all that was written is acknowledged; what
  // comes then waits for release(), which says where the file is now, if it has a name.
  void hold(std::function<void()> held);
  void release(std::optional<std::string> path);
  // Its directory was renamed without that.
  void moved(std::string path);
  // Whether the staging file can have this extended attribute, which the commit will set again.
  void try_xattr(wire::Xattr xattr, Done done) {
    try_on_staging(wire::TryXattr{0, std::move(xattr), false}, std::move(done));
  }
  // What was tried so was removed again.
  void untry_xattr(std::string name, Done done) {
    try_on_staging(wire::TryXattr{0, {std::move(name), {}}, true}, std::move(done));
  }
  // The same for its group.
  void try_group(uint32_t gid, Done done) {
    try_on_staging(wire::TryGroup{0, gid}, std::move(done));
  }
  // Of a nameless file, so that its directory can be removed. A lost connection then ends it.
  void hide(Done done);
  // Sends the rest, waits for every acknowledgement, and commits. Once. Where a rename above it was
  // faster, `path_now` says what the path is now; "" where there is none. Any thread.
  using PathNow = std::function<std::string()>;
  void commit(wire::Placement placement, bool durable, PathNow path_now, CommitDone done);
  // Gives the upload up; callbacks that wait get Errc::cancelled. The staging file is removed, or
  // with `keep` left for the next upload to the same target.
  void cancel(bool keep);

  // The file has no name any more. Its staging file, where there is none yet, is put into the
  // mounted directory, since its own may be renamed or removed. Any thread.
  void set_nameless() { nameless_ = true; }

  // Any thread. As the program sees the file, writes in progress included.
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const Progress& progress() const { return progress_; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  using Job = std::function<void(Upload&)>;
  struct Noted {  // a block that the agent has only noted (PROTOCOL.md, delta_block)
    uint64_t offset;
    uint32_t size;
    hash::BlockHash hash;
    uint8_t basis;
  };

  Upload(const Context& context, std::string path, Hints hints);

  // ---- upload.cc: the stream, its blocks, the commit
  void on_write(uint64_t offset, Bytes data);
  void on_truncate(uint64_t size, const Done& done);
  void on_read(uint64_t offset, uint32_t size, const ReadDone& done);
  void on_commit(const wire::Placement& placement, bool durable, const CommitDone& done);
  void append(uint64_t offset, ByteSpan data);
  void start_tail(uint64_t offset);
  void relieve();
  void leave_hole(uint64_t end);
  void drop_kept();
  void nothing_is_noted();
  // Cuts the tail into pieces and sends full blocks; with `at_end` all of it. False where it has to
  // wait for what the bases hold: then the jobs that come queue up.
  [[nodiscard]] bool cut(bool at_end);
  void send_block();
  void keep_chunks(uint64_t offset, ByteSpan block);
  [[nodiscard]] std::shared_ptr<const Delta> make_delta(const Bytes& block);
  void hash_block(uint64_t offset, ByteSpan bytes);
  void hash_gap(uint64_t to);
  void on_acknowledged(const Extent& block, const hash::BlockHash& hash);
  [[nodiscard]] bool fits_one_message(const wire::Placement& placement) const;
  [[nodiscard]] bool was_overtaken(const Result<wire::CommitAnswer>& answer,
                                   wire::Placement& placement) const;
  void put_file(wire::Placement placement, bool durable, int tries, bool repeated, CommitDone done);
  void send_commit(const wire::Placement& placement, bool durable, const CommitDone& done);
  void end_commit(Result<wire::CommitAnswer> answer, const std::string& path,
                  const CommitDone& done);
  void remember(const wire::CommitAnswer& answer, const std::string& path);

  // ---- upload_range.cc: what the agent does by itself, and what stands alone
  void on_hold(const std::function<void()>& held);
  void relocate(const std::string& path);
  template <class Request>
  void try_on_staging(Request request, Done done);
  template <class Request>
  void on_try(const Request& request, const Done& done);
  void on_hide(const Done& done);
  void write_near(uint64_t offset, std::shared_ptr<Bytes> data, Done done);
  void reach(uint64_t size, const Done& done);
  void on_seek(uint64_t offset, bool hole, const OffsetDone& done);
  void on_allocate(const wire::AllocateTransfer& request, const Done& done);
  void on_copy(const wire::CopyTransfer& request, const OffsetDone& done);
  void on_copied(const wire::CopyTransfer& request, uint64_t size);
  // False where `again` will run once everything written is cut and the transfer is open.
  [[nodiscard]] bool settle(Job again);
  // Sends a request of the transfer's when all before it is acknowledged; what comes meanwhile
  // waits for the answer.
  template <class Request, class Callback>
  void call_alone(Request request, Callback done);
  void end_alone();

  // ---- upload_start.cc: the transfer, and what it may copy from
  [[nodiscard]] static uint32_t next_transfer_id();
  void prepare();
  using InitDone = void (Upload::*)(const Result<wire::Init::Answer>&);
  void send_init(uint32_t transfer, InitDone done);
  [[nodiscard]] bool has_own_staging(const wire::Init::Answer& answer) const;
  void try_init_again();
  void on_second_init(const Result<wire::Init::Answer>& answer);
  [[nodiscard]] bool move_back();
  void drop_transfer(uint32_t unused);
  void on_init(const Result<wire::Init::Answer>& answer);
  void initialise(const wire::Init::Answer& answer);
  void add_similar();
  [[nodiscard]] bool is_ready() const;
  void go_on();

  // ---- upload_recovery.cc: lost connections
  void recover();
  void on_reopened(const Result<wire::Init::Answer>& answer);
  void note_again();
  [[nodiscard]] bool wait_for_recovery(const Error& error, Job job);
  void run_blocked();
  void read_transfer(uint64_t offset, uint32_t size, const ReadDone& done);
  // Sends a request of the transfer's; once more where the connection breaks before its answer.
  // `done` is called on the strand.
  template <class Request, class Callback>
  void call_again(const Request& request, Callback done);
  // Asks whether the file has its name already, since the answer to the commit was lost.
  void look_for_commit(const std::string& path, const hash::Sha256Value& sha256,
                       const CommitDone& done);
  // The same for a file that may join another: if it has not, it does now.
  void look_for_put(wire::Placement placement, bool durable, int tries,
                    const hash::Sha256Value& sha256, const CommitDone& done);
  void find_committed(const std::string& path, const hash::Sha256Value& sha256,
                      std::optional<wire::Time> mtime, const CommitDone& done,
                      std::function<void()> otherwise);

  void raise_size(uint64_t floor);
  void fail_with(Error error);
  [[nodiscard]] bool check(const std::function<void(Error)>& report) const;
  // Queues a member call on the strand, behind those that wait; the upload is kept alive.
  void post(Job job);
  void run_queued();

  const Context context_;
  std::string path_;        // on the strand
  std::string named_path_;  // what it was, while a nameless file is tried to be put elsewhere
  const Strand strand_;

  std::atomic<uint64_t> size_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> nameless_{false};
  PathNow path_now_;  // from commit() on, on the strand
  Progress progress_;

  // Strand only.
  uint32_t transfer_;  // id at the agent, another one after each lost connection
  Hints hints_;
  BlockSender sender_;
  BasisSet bases_;
  delta::Compressor compressor_;
  std::deque<Job> queue_;              // jobs that wait for the bases
  bool waiting_ = false;               // cut() waits for the bases
  bool wait_at_end_ = false;           // with this argument
  bool alone_ = false;                 // a request is out that everything else waits for
  bool on_hold_ = false;               // hold() was called, and not yet release()
  bool recovery_waits_ = false;        // for release(), which says where
  std::shared_ptr<WindowBytes> tail_;  // what is not sent yet; null where there is nothing
  uint64_t tail_start_ = 0;
  std::vector<delta::Piece> pieces_;  // the front of the tail, cut
  uint64_t pieces_size_ = 0;          // bytes
  bool prepared_ = false;             // init was sent
  bool initialised_ = false;          // and answered
  bool similar_asked_ = false;
  int waits_for_staging_ = 0;  // how often init found the staging file in use
  std::string init_path_;      // of the last init
  wire::Init::Answer first_init_;
  uint32_t second_transfer_ = 0;
  bool relieve_wanted_ = false;  // once nothing is in flight
  bool is_put_ = false;          // as one message: no transfer is to be opened any more
  bool spent_ = false;
  std::string staging_name_;      // "" until init is answered
  uint64_t kept_size_ = 0;        // bytes of an earlier upload that are still in the staging file
  std::optional<uint64_t> hole_;  // up to here the file was written without one
  std::vector<Noted> noted_;
  bool all_noted_ = true;              // nothing was acknowledged that the agent has written
  int truncating_ = 0;                 // truncations of the staging file under way
  std::function<void()> held_commit_;  // until they have ended
  bool recovering_ = false;
  int recoveries_ = 0;        // since the last acknowledgement
  std::vector<Job> blocked_;  // requests to repeat after the recovery
  // A commit was sent, and the staging file is not there any more.
  std::function<void()> gone_;
  hash::ChunkList chunks_;  // of the file from 0 on
  uint64_t chunked_ = 0;    // their bytes
  hash::Sha256 sha256_;
  uint64_t hashed_ = 0;       // bytes that sha256_ has taken: the file's start
  uint64_t gaps_ = 0;         // of these, zeros that nobody wrote
  bool sha256_known_ = true;  // nothing before hashed_ was written over
};

template <class Request, class Callback>
void Upload::call_again(const Request& request, Callback done) {
  client::call(
      context_.agent, request,
      [self = shared_from_this(), request,
       done = std::move(done)](Result<typename Request::Answer> answer) {
        self->strand_.post([self, request, done, answer = std::move(answer)]() mutable {
          if (answer || !self->wait_for_recovery(answer.error(), [request, done](Upload& upload) {
                Request again = request;
                again.transfer = upload.transfer_;
                upload.call_again(again, done);
              })) {
            done(std::move(answer));
          }
        });
      },
      nullptr, client::Priority::bulk);
}

}  // namespace cpaway::upload
