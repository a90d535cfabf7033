// What the agent does by itself in the staging file: holes, room, copies from other files, its
// name.
//
// Each such request stands alone: it is sent when everything before it is acknowledged, and what
// comes meanwhile waits. So it is never repeated, after a lost connection, behind newer blocks.
#include <algorithm>
#include <cerrno>

#include "engine/upload/upload.h"

namespace cpaway::upload {
namespace {

bool is_beyond(const Error& error) {
  return error.code == Errc::os && error.os_errno == ENXIO;
}

// What a program, or the kernel for it, answers by reading and writing.
bool may_copy_otherwise(const Error& error) {
  return error.code == Errc::os &&
         (error.os_errno == EXDEV || error.os_errno == EOPNOTSUPP || error.os_errno == EINVAL);
}

// lseek(2) in a file that holds data in one place only, up to `end`.
Result<uint64_t> seek_around(uint64_t data_from, uint64_t data_to, uint64_t end, uint64_t offset,
                             bool hole) {
  const bool inside = offset >= data_from && offset < data_to;
  if (hole) {
    return inside ? data_to : offset;
  }
  if (inside) {
    return offset;
  }
  if (offset < data_from && data_from < end) {
    return data_from;
  }
  return fail_os(ENXIO, "seek");
}

}  // namespace

bool Upload::settle(Job again) {
  if (cut(true)) {
    if (!prepared_) {
      prepare();
    }
    if (initialised_) {
      return true;
    }
    waiting_ = true;
    wait_at_end_ = true;
  }
  queue_.push_front(std::move(again));
  return false;
}

template <class Request, class Callback>
void Upload::call_alone(Request request, Callback done) {
  alone_ = true;
  waiting_ = true;
  sender_.when_drained(shared_from_this(), [this, self = shared_from_this(), request,
                                            done = std::move(done)]() mutable {
    if (sender_.error()) {
      done(Result<typename Request::Answer>(fail(*sender_.error())));
      end_alone();
      return;
    }
    request.transfer = transfer_;
    call_again(request, [this, done](Result<typename Request::Answer> answer) {
      nothing_is_noted();
      done(std::move(answer));
      end_alone();
    });
  });
}

void Upload::end_alone() {
  alone_ = false;
  if (std::exchange(waiting_, false)) {
    run_queued();
  }
}

void Upload::hold(std::function<void()> held) {
  post([held = std::move(held)](Upload& self) { self.on_hold(held); });
}

void Upload::on_hold(const std::function<void()>& held) {
  if (prepared_ && !sender_.error() && !settle([held](Upload& self) { self.on_hold(held); })) {
    return;
  }
  alone_ = true;
  waiting_ = true;
  // Until everything is acknowledged a lost connection is recovered from as ever.
  sender_.when_drained(shared_from_this(), [this, held] {
    const auto step = [held](Upload& self) {
      self.on_hold_ = true;
      held();
    };
    if (recovering_) {
      blocked_.emplace_back(step);
    } else {
      step(*this);
    }
  });
}

// Not queued: what is queued waits for it.
void Upload::release(std::optional<std::string> path) {
  strand_.post([self = shared_from_this(), path = std::move(path)] {
    self->on_hold_ = false;
    if (path) {
      self->relocate(*path);
    }
    if (std::exchange(self->recovery_waits_, false)) {
      self->recover();
    }
    self->end_alone();
  });
}

void Upload::moved(std::string path) {
  strand_.post([self = shared_from_this(), path = std::move(path)] { self->relocate(path); });
}

void Upload::relocate(const std::string& path) {
  if (named_path_.empty()) {  // else it lies in the mounted directory
    bases_.rename_target(path);
    path_ = path;
  }
}

template <class Request>
void Upload::on_try(const Request& request, const Done& done) {
  if (check([&](Error error) { done(fail(std::move(error))); }) &&
      settle([request, done](Upload& self) { self.on_try(request, done); })) {
    call_alone(request, [done](const auto& answer) {
      done(answer ? Status() : Status(fail(answer.error())));
    });
  }
}

template <class Request>
void Upload::try_on_staging(Request request, Done done) {
  post([request = std::move(request), done = std::move(done)](Upload& self) {
    self.on_try(request, done);
  });
}
template void Upload::try_on_staging(wire::TryXattr request, Done done);
template void Upload::try_on_staging(wire::TryGroup request, Done done);

void Upload::hide(Done done) {
  post([done = std::move(done)](Upload& self) { self.on_hide(done); });
}

void Upload::on_hide(const Done& done) {
  // Where nothing was sent, or to the mounted directory, nothing is in the way.
  if (!prepared_ || !named_path_.empty() || sender_.error()) {
    done({});
    return;
  }
  if (settle([done](Upload& self) { self.on_hide(done); })) {
    call_alone(wire::HideTransfer{}, [done](const auto& answer) {
      done(answer ? Status() : Status(fail(answer.error())));
    });
  }
}

// Makes the file that long, which says whether it can be.
void Upload::reach(uint64_t size, const Done& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); }) ||
      !settle([size, done](Upload& self) { self.reach(size, done); })) {
    return;
  }
  leave_hole(tail_start_);
  call_alone(wire::TruncateTransfer{0, size}, [this, size, done](const auto& answer) {
    if (answer) {
      raise_size(size);
    }
    done(answer ? Status() : Status(fail(answer.error())));
  });
}

void Upload::seek(uint64_t offset, bool hole, OffsetDone done) {
  post([offset, hole, done = std::move(done)](Upload& self) { self.on_seek(offset, hole, done); });
}

void Upload::on_seek(uint64_t offset, bool hole, const OffsetDone& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); })) {
    return;
  }
  const uint64_t end = size_;
  if (offset >= end) {
    done(fail_os(ENXIO, "seek"));
    return;
  }
  if (!prepared_) {
    const uint64_t from = tail_ ? tail_start_ : end;
    done(seek_around(from, tail_ ? from + tail_->bytes.size() : end, end, offset, hole));
    return;
  }
  if (!settle([offset, hole, done](Upload& self) { self.on_seek(offset, hole, done); })) {
    return;
  }
  if (end > tail_start_) {
    leave_hole(tail_start_);
  }
  call_alone(wire::SeekTransfer{0, offset, hole}, [end, offset, hole, done](const auto& answer) {
    if (!answer && !(hole && is_beyond(answer.error()))) {
      done(fail(answer.error()));
      return;
    }
    // The staging file may be shorter than the file will be, or longer.
    const uint64_t found = answer ? answer->offset : offset;
    if (!hole && found >= end) {
      done(fail_os(ENXIO, "seek"));
    } else {
      done(std::min(found, end));
    }
  });
}

void Upload::allocate(uint32_t mode, uint64_t offset, uint64_t size, Done done) {
  post([request = wire::AllocateTransfer{0, mode, offset, size},
        done = std::move(done)](Upload& self) { self.on_allocate(request, done); });
}

void Upload::on_allocate(const wire::AllocateTransfer& request, const Done& done) {
  if (!check([&](Error error) { done(fail(std::move(error))); }) ||
      !settle([request, done](Upload& self) { self.on_allocate(request, done); })) {
    return;
  }
  leave_hole(tail_start_);
  call_alone(request, [this, request, done](const auto& answer) {
    if (!answer) {
      done(fail(answer.error()));
      return;
    }
    if ((request.mode & wire::kKeepSize) == 0) {
      raise_size(request.offset + request.size);
    }
    // Beyond what is hashed there were zeros before.
    if ((request.mode & (wire::kPunchHole | wire::kZeroRange)) != 0 && request.offset < hashed_) {
      sha256_known_ = false;
    }
    done({});
  });
}

void Upload::copy(uint64_t offset, uint32_t source, uint64_t source_offset, uint64_t size,
                  OffsetDone done) {
  post([request = wire::CopyTransfer{0, offset, source, source_offset, size},
        done = std::move(done)](Upload& self) { self.on_copy(request, done); });
}

void Upload::on_copy(const wire::CopyTransfer& request, const OffsetDone& done) {
  if (!prepared_) {
    hints_ = {};  // nothing is sent that an old version would save; no list of it is needed
  }
  if (!check([&](Error error) { done(fail(std::move(error))); }) ||
      !settle([request, done](Upload& self) { self.on_copy(request, done); })) {
    return;
  }
  if (request.offset != tail_start_) {
    leave_hole(tail_start_);
  }
  call_alone(request, [this, request, done](const auto& answer) {
    if (!answer) {
      if (!may_copy_otherwise(answer.error())) {
        fail_with(answer.error());  // as a write's would: no half of a file is committed
      }
      done(fail(answer.error()));
      return;
    }
    const uint64_t size = std::min(answer->size, request.size);
    on_copied(request, size);
    done(size);
  });
}

// The agent has compared it with its source; the file's SHA-256 is the agent's to compute.
void Upload::on_copied(const wire::CopyTransfer& request, uint64_t size) {
  if (size == 0) {
    return;
  }
  recoveries_ = 0;
  sha256_known_ = false;
  tail_start_ = request.offset + size;
  bases_.restart(tail_start_);
  raise_size(tail_start_);
  progress_.written += size;
  progress_.acknowledged += size;
  progress_.matched += size;
}

}  // namespace cpaway::upload
