// The memory between programs and the agent, bounded for a whole mount.
//
// Every byte that a program has written and the agent has not yet acknowledged is counted here.
// A writer that does not fit waits in line, without a thread: its turn is a callback. Since bytes
// may also sit in unfinished blocks of files that nobody writes to just now, a waiter makes every
// holder send what it has (relieve), so that the line always moves.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/mutex.h"

namespace cpaway::upload {

class Window {
 public:
  using Granted = std::function<void()>;
  // Sends the unfinished block now. Called outside the window's lock, by any thread.
  using Relieve = std::function<void()>;

  explicit Window(uint64_t capacity) : capacity_(capacity) {}

  // Takes `size` bytes: true at once where they are free and nobody waits. Otherwise false, and
  // `granted` is called later, in turn, by a thread that releases. More than the whole capacity is
  // granted when nothing else is taken.
  [[nodiscard]] bool acquire(uint64_t size, Granted granted) CPAWAY_EXCLUDES(mutex_);
  void release(uint64_t size) CPAWAY_EXCLUDES(mutex_);
  // Takes them whether they are free or not: others wait the longer.
  void take(uint64_t size) CPAWAY_EXCLUDES(mutex_);

  // Holders of unfinished blocks, by any key of theirs.
  void add_holder(const void* key, Relieve relieve) CPAWAY_EXCLUDES(mutex_);
  void remove_holder(const void* key) CPAWAY_EXCLUDES(mutex_);

  [[nodiscard]] uint64_t used() const CPAWAY_EXCLUDES(mutex_);

  // An empty buffer with room for `capacity` bytes: one that was kept, where there is. A few are,
  // 1 to 2 MiB each, as blocks are: the kernel clears every page of memory that comes anew.
  [[nodiscard]] Bytes spare(size_t capacity) CPAWAY_EXCLUDES(mutex_);
  void keep(Bytes used) CPAWAY_EXCLUDES(mutex_);

 private:
  struct Waiter {
    uint64_t size;
    Granted granted;
  };
  [[nodiscard]] bool fits_locked(uint64_t size) const CPAWAY_REQUIRES(mutex_) {
    return used_ == 0 || used_ + size <= capacity_;
  }

  const uint64_t capacity_;
  mutable Mutex mutex_;
  uint64_t used_ CPAWAY_GUARDED_BY(mutex_) = 0;
  std::deque<Waiter> waiters_ CPAWAY_GUARDED_BY(mutex_);
  std::unordered_map<const void*, Relieve> holders_ CPAWAY_GUARDED_BY(mutex_);
  std::vector<Bytes> spare_ CPAWAY_GUARDED_BY(mutex_);
};

// Bytes that hold a share of the window, given back when the last owner lets go.
class WindowBytes {
 public:
  explicit WindowBytes(Window& window) : window_(window) {}
  ~WindowBytes() {
    window_.keep(std::move(bytes));
    window_.release(held_);
  }
  WindowBytes(const WindowBytes&) = delete;
  WindowBytes& operator=(const WindowBytes&) = delete;

  // Takes over `size` acquired bytes.
  void hold(uint64_t size) { held_ += size; }
  // Copies a range, and moves its share, to `other`, which is empty.
  void give_range(size_t offset, size_t size, WindowBytes& other);
  // Moves the bytes behind the first `size`, and their share, to `other`, which is empty.
  void move_rest(size_t size, WindowBytes& other);
  // For what will not grow any more: gives back memory that it does not need, and holds 4 KiB at
  // least, since a block costs about that much beyond its bytes.
  void settle();
  // Gives back what is held beyond the bytes that are there.
  void release_surplus();

  Bytes bytes;

 private:
  Window& window_;
  uint64_t held_ = 0;
};

}  // namespace cpaway::upload
