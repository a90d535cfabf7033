// The files that a transfer may copy from, by number: 0 is its staging file as it was found.
//
// Thread-safe, since lists of chunks are made on any thread while blocks are put together on the
// transfer's own.
#pragma once

#include <array>
#include <memory>

#include "engine/agent/file_access.h"
#include "engine/base/mutex.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

struct Basis {
  UniqueFd fd;
  wire::Attr attr;         // when it was opened
  bool is_target = false;  // the old version of what is being uploaded
};

class Bases {
 public:
  using Pointer = std::shared_ptr<const Basis>;

  // EINVAL for a number that there is not or that is taken. Only the first one that is the target's
  // old version counts as that.
  [[nodiscard]] Status add(uint8_t number, Basis basis) CPAWAY_EXCLUDES(mutex_);
  // EBADF where there is none of the number.
  [[nodiscard]] Result<Pointer> find(uint8_t number) const CPAWAY_EXCLUDES(mutex_);
  // The old version of the target, if it is one of them.
  [[nodiscard]] Pointer target() const CPAWAY_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::array<Pointer, wire::kMaxBasis + 1> bases_ CPAWAY_GUARDED_BY(mutex_);
  bool has_target_ CPAWAY_GUARDED_BY(mutex_) = false;
};

// What the range holds, as a packed list. Errors as of pread(2), EINVAL for sizes out of range.
[[nodiscard]] Result<Bytes> list_chunks(const Basis& basis, const wire::ListChunks& request);

}  // namespace cpaway::agent
