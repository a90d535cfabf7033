// The messages about file locks (engine/PROTOCOL.md, "Locks"); else as message.h.
//
// An open_lock makes a handle, that is, an open file description of its own for one owner's locks
// on one file. What it holds is the kernel's to know: two owners of one mount conflict as two
// programs on the remote host do, and close lets everything go.
#pragma once

#include <cstdint>
#include <string>

#include "engine/wire/message.h"

namespace cpaway::wire {

// The two families know nothing of each other, as in Linux.
inline constexpr uint8_t kPosixLock = 0;  // byte ranges, fcntl(2)
inline constexpr uint8_t kFlock = 1;      // the whole file, flock(2)

inline constexpr uint8_t kUnlock = 0;
inline constexpr uint8_t kReadLock = 1;   // or LOCK_SH
inline constexpr uint8_t kWriteLock = 2;  // or LOCK_EX

// The last byte that a range can hold: to the end of the file, however long it gets.
inline constexpr uint64_t kLockEnd = INT64_MAX;

// The client chooses the handle, as for Open; Close ends it.
struct OpenLock {
  using Self = OpenLock;
  static constexpr Op kOp = Op::open_lock;
  uint32_t handle = 0;
  Target target;  // a regular file
  uint8_t family = kPosixLock;
  CPAWAY_FIELDS(handle, target, family);
  struct Answer {
    using Self = Answer;
    std::string successor_name;  // for TakeOver; "" where this agent cannot be taken over
    CPAWAY_FIELDS(successor_name);
  };
};

struct Lock {
  using Self = Lock;
  static constexpr Op kOp = Op::lock;
  uint32_t handle = 0;
  uint32_t ticket = 0;  // for CancelLock
  uint8_t type = kUnlock;
  uint64_t first = 0;
  uint64_t last = kLockEnd;
  bool wait = false;  // answered when it can be had
  CPAWAY_FIELDS(handle, ticket, type, first, last, wait);
  struct Answer {
    using Self = Answer;
    Attr attr;  // once the lock was held: what others have changed shows
    Time now;   // of the clock that stamps the file
    CPAWAY_FIELDS(attr, now);
  };
};

struct TestLock {
  using Self = TestLock;
  static constexpr Op kOp = Op::test_lock;
  uint32_t handle = 0;
  uint8_t type = kReadLock;
  uint64_t first = 0;
  uint64_t last = kLockEnd;
  CPAWAY_FIELDS(handle, type, first, last);
  struct Answer {  // a lock in the way; type kUnlock: none
    using Self = Answer;
    uint8_t type = kUnlock;
    uint64_t first = 0;
    uint64_t last = 0;
    CPAWAY_FIELDS(type, first, last);
  };
};

// Ends the waiting of a Lock, which is then answered with EINTR.
struct CancelLock {
  using Self = CancelLock;
  static constexpr Op kOp = Op::cancel_lock;
  uint32_t handle = 0;
  uint32_t ticket = 0;
  CPAWAY_FIELDS(handle, ticket);
  using Answer = Empty;
};

// After a lost connection: an agent of this mount's that has not noticed it yet lets its locks go.
struct TakeOver {
  using Self = TakeOver;
  static constexpr Op kOp = Op::take_over;
  std::string successor_name;
  CPAWAY_FIELDS(successor_name);
  using Answer = Empty;
};

}  // namespace cpaway::wire
