// Writes into an existing remote file, block by block, each verified by what was read back.
//
// For files opened without O_TRUNC, and wherever replacing would break something. Like Upload it
// runs on a strand; writes are answered once the window has room, and a failure is reported by the
// next write or drain, once. Until one has arrived they are answered when they have: `handle` may
// be on its way to be opened, and in vain, and a shell does not look at what close(2) says of its
// redirection.
//
// Of a large block only what differs is sent: the agent is asked first, for as long as that pays
// (block_compare.h) and never for what lies behind the end of the file. Questions are in flight as
// blocks are, many at once. Where a block turns out equal as a whole, one byte of it is written
// nevertheless: the file's times are to change as they do with any write.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "engine/upload/block_compare.h"
#include "engine/upload/upload.h"

namespace cpaway::upload {

class InPlaceWriter : public std::enable_shared_from_this<InPlaceWriter> {
 public:
  // `handle` is open for writing at the agent, and stays so until drained. `known_size` is the
  // file's, as far as the caller knows. `moved` is called, on any thread, where something was
  // appended elsewhere than the caller thought: others have written to the file.
  [[nodiscard]] static std::shared_ptr<InPlaceWriter> create(const Context& context,
                                                             uint32_t handle, uint64_t known_size,
                                                             std::function<void()> moved = nullptr);

  void write(uint64_t offset, ByteSpan data, Upload::Done done) {
    write_or_append(offset, data, false, std::move(done));
  }
  // At the end of the file, in one step, whoever else appends; `offset` is where the caller takes
  // it to be.
  void append(uint64_t offset, ByteSpan data, Upload::Done done) {
    write_or_append(offset, data, true, std::move(done));
  }
  // `done` once everything written before is acknowledged, with the first failure since the last.
  void drain(Upload::Done done);
  // The same, for who does not speak for the program that wrote: a failure stays for drain.
  void wait(std::function<void()> done);
  // The file was cut or extended otherwise, by the agent. Any thread; a wrong size costs bandwidth
  // only.
  void set_known_size(uint64_t size) {
    known_size_ = size;
    append_end_ = kUnknownEnd;
  }

  [[nodiscard]] uint32_t handle() const { return handle_; }
  // True where writes are under way: sizes and times at the agent are not yet what they will be.
  [[nodiscard]] bool busy() const { return pending_ != 0; }
  [[nodiscard]] const Progress& progress() const { return progress_; }

 private:
  static constexpr uint64_t kUnknownEnd = UINT64_MAX;

  InPlaceWriter(const Context& context, uint32_t handle, uint64_t known_size,
                std::function<void()> moved);
  void write_or_append(uint64_t offset, ByteSpan data, bool append, Upload::Done done);
  struct Appends {
    uint64_t offset = 0;  // where the first of them was thought to go
    std::shared_ptr<WindowBytes> bytes;
    uint64_t count = 0;
  };
  // The first since it was last told. Strand.
  [[nodiscard]] Status take_failure();
  void on_write(uint64_t offset, Bytes data);
  void on_append(uint64_t offset, ByteSpan data);
  void send(const std::shared_ptr<Appends>& appends);
  [[nodiscard]] Result<hash::BlockHash> open_answer(Result<wire::Incoming> incoming);
  // True where the agent was asked what of the block it lacks.
  [[nodiscard]] bool compare(uint64_t offset, const std::shared_ptr<WindowBytes>& block,
                             const BlockSender::Lacking& lacking);
  void on_compared(const wire::Compare& request, const Result<wire::Compare::Answer>& answer,
                   const std::shared_ptr<WindowBytes>& block, const BlockSender::Lacking& lacking);

  const Context context_;
  const uint32_t handle_;
  const std::function<void()> moved_;
  const Strand strand_;
  Progress progress_;
  std::atomic<uint64_t> pending_{0};  // writes not yet acknowledged
  std::atomic<uint64_t> known_size_;
  std::atomic<bool> arrived_{false};  // a write has been acknowledged
  // Of the append that is on its way: nothing else is then.
  std::atomic<bool> appending_{false};
  std::atomic<uint64_t> append_offset_{0};
  std::atomic<uint64_t> append_size_{0};
  hash::BlockHash append_hash_{};
  // Of the last one that is acknowledged: where the next one is, if nobody else appends.
  std::atomic<uint64_t> append_end_{kUnknownEnd};
  // Strand only.
  BlockSender sender_;
  std::shared_ptr<Appends> appends_;  // to be sent when nothing is on its way
  CompareGate gate_;
  bool touched_ = false;  // something was written since the last drain
};

}  // namespace cpaway::upload
