#include "fs/reply.h"

#include <cerrno>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mutex.h"
#include "fs/caller.h"
#include "fs/errno_map.h"
#include "fs/interrupt_watch.h"

namespace cpaway::fs {

struct Reply::State : std::enable_shared_from_this<Reply::State> {
  State(fuse_req_t r, InterruptWatch& w) : req(r), watch(w), context(*fuse_req_ctx(r)) {}
  ~State() {
    if (claim() != nullptr) {
      log::warning("a request was dropped without an answer");
      fuse_reply_err(req, EIO);
    }
  }

  // The right to answer; null where somebody has it already.
  fuse_req_t claim() {
    if (answered.exchange(true)) {
      return nullptr;
    }
    // Takes the request's lock: a callback under way ends before the request does.
    fuse_req_interrupt_func(req, nullptr, nullptr);
    return req;
  }

  // Calls the hook, the first time; true where there is one that may still bring the answer.
  bool await_hook() {
    std::function<void()> call;
    {
      const MutexLock lock(mutex);
      if (!has_hook) {
        return false;
      }
      call.swap(hook);
      if (call) {
        hook_called_ms = system_clock().now_ms();
      } else if (system_clock().now_ms() - hook_called_ms >= kHookMs) {
        overdue = true;
        return false;
      }
    }
    if (call) {
      call();
    }
    return true;
  }

  // True where there is nothing left to do: answered, or freed just now.
  bool release_if_decided() {
    if (answered) {
      return true;
    }
    if (await_hook()) {
      return false;
    }
    const PendingSignal pending = overdue ? PendingSignal::fatal : pending_signal(context.pid);
    if (pending == PendingSignal::none ||
        (pending == PendingSignal::caught && !watch.is_agent_silent())) {
      return false;
    }
    if (claim() != nullptr) {
      fuse_reply_err(req, EINTR);
    }
    return true;
  }

  const fuse_req_t req;
  InterruptWatch& watch;
  const fuse_ctx context;  // the request may be gone
  std::atomic<bool> answered{false};
  bool overdue = false;  // the watch's thread only

  Mutex mutex;
  bool has_hook CPAWAY_GUARDED_BY(mutex) = false;
  std::function<void()> hook CPAWAY_GUARDED_BY(mutex);
  int64_t hook_called_ms CPAWAY_GUARDED_BY(mutex) = 0;
};

namespace {

// Answers that the kernel did not take leave nothing to do: the program is gone, or the mount.
void unless_taken(int result, const char* what) {
  if (result != 0) {
    log::debug(what, ": the kernel did not take the answer: ", -result);
  }
}

}  // namespace

Reply::Reply(fuse_req_t req, InterruptWatch& watch) : state_(std::make_shared<State>(req, watch)) {
  fuse_req_interrupt_func(req, &Reply::on_interrupt, state_.get());
}

// Runs on a FUSE thread, under the request's lock, so it only hands over to the watch.
void Reply::on_interrupt(fuse_req_t /*req*/, void* state) {
  auto* self = static_cast<State*>(state);
  self->watch.add([weak = self->weak_from_this()] {
    const auto shared = weak.lock();
    return !shared || shared->release_if_decided();
  });
}

pid_t Reply::caller() const {
  return state_->context.pid;
}

const fuse_ctx& Reply::context() const {
  return state_->context;
}

bool Reply::answered() const {
  return state_->answered;
}

void Reply::error(int os_errno) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_err(req, os_errno), "error");
  }
}

void Reply::error(const Error& error) const {
  this->error(errno_of(error));
}

bool Reply::entry(const fuse_entry_param& entry) const {
  fuse_req_t req = state_->claim();
  return req != nullptr && fuse_reply_entry(req, &entry) == 0;
}

bool Reply::create(const fuse_entry_param& entry, const fuse_file_info& file) const {
  fuse_req_t req = state_->claim();
  return req != nullptr && fuse_reply_create(req, &entry, &file) == 0;
}

bool Reply::open(const fuse_file_info& file) const {
  fuse_req_t req = state_->claim();
  return req != nullptr && fuse_reply_open(req, &file) == 0;
}

void Reply::attr(const struct stat& attr, double timeout_s) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_attr(req, &attr, timeout_s), "attr");
  }
}

void Reply::readlink(const std::string& text) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_readlink(req, text.c_str()), "readlink");
  }
}

void Reply::written(size_t size) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_write(req, size), "write");
  }
}

void Reply::lseek(uint64_t offset) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_lseek(req, static_cast<off_t>(offset)), "lseek");
  }
}

void Reply::ioctl(ByteSpan out) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_ioctl(req, 0, out.data(), out.size()), "ioctl");
  }
}

bool Reply::data(ByteSpan bytes) const {
  fuse_req_t req = state_->claim();
  return req != nullptr &&
         fuse_reply_buf(req, reinterpret_cast<const char*>(bytes.data()), bytes.size()) == 0;
}

void Reply::statfs(const struct statvfs& stat) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_statfs(req, &stat), "statfs");
  }
}

void Reply::xattr_size(size_t size) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_xattr(req, size), "xattr");
  }
}

void Reply::lock(const struct flock& lock) const {
  if (fuse_req_t req = state_->claim()) {
    unless_taken(fuse_reply_lock(req, &lock), "lock");
  }
}

bool Reply::done() const {
  fuse_req_t req = state_->claim();
  return req != nullptr && fuse_reply_err(req, 0) == 0;
}

void Reply::on_signal(std::function<void()> hook) const {
  const MutexLock lock(state_->mutex);
  state_->hook = std::move(hook);
  state_->has_hook = true;
}

}  // namespace cpaway::fs
