// Writes into an existing remote file, block by block, each verified by what was read back.
//
// For files opened without O_TRUNC, and wherever replacing would break something. Like Upload it
// runs on a strand; writes are answered once the window has room, and a failure is reported by the
// next write or drain, once.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "engine/upload/upload.h"

namespace cpaway::upload {

class InPlaceWriter : public std::enable_shared_from_this<InPlaceWriter> {
 public:
  // `handle` is open for writing at the agent, and stays so until drained.
  [[nodiscard]] static std::shared_ptr<InPlaceWriter> create(const Context& context,
                                                             uint32_t handle);

  void write(uint64_t offset, ByteSpan data, Upload::Done done);
  // `done` once everything written before is acknowledged, with the first failure since the last.
  void drain(Upload::Done done);

  // True where writes are under way: sizes and times at the agent are not yet what they will be.
  [[nodiscard]] bool busy() const { return pending_ != 0; }
  [[nodiscard]] const Progress& progress() const { return progress_; }

 private:
  InPlaceWriter(const Context& context, uint32_t handle);
  void on_write(uint64_t offset, Bytes data);

  const Context context_;
  const Strand strand_;
  Progress progress_;
  std::atomic<uint64_t> pending_{0};  // writes not yet acknowledged
  BlockSender sender_;                // strand only
};

}  // namespace cpaway::upload
