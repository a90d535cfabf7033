// What the messages of the protocol are made of (engine/PROTOCOL.md, "Field types" and below).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/wire/codec.h"

namespace cpaway::wire {

struct Empty {
  using Self = Empty;
  template <class Visitor>
  void visit(Visitor& /*visitor*/) const {}
  bool operator==(const Empty&) const = default;
};

struct Time {
  using Self = Time;
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  CPAWAY_FIELDS(seconds, nanoseconds);
};

// What the agent's user may do with a file (Attr::access).
inline constexpr uint8_t kMayRead = 4;
inline constexpr uint8_t kMayWrite = 2;
inline constexpr uint8_t kMayExecute = 1;
inline constexpr uint8_t kReadOnlyFilesystem = 8;
// And that its filesystem lists no extended attributes of it, as far as that user may see them.
inline constexpr uint8_t kNoXattrs = 16;
// What chattr(1) has forbidden everybody.
inline constexpr uint8_t kImmutable = 32;
inline constexpr uint8_t kAppendOnly = 64;

struct Attr {
  using Self = Attr;
  uint64_t dev = 0;
  uint64_t ino = 0;
  Time btime;         // zero where the filesystem keeps none; tells a reused inode number apart
  uint32_t mode = 0;  // type and permissions, as st_mode
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  Time atime;
  Time mtime;
  Time ctime;
  uint8_t access = 0;  // kMay*, for the agent's user
  CPAWAY_FIELDS(dev, ino, btime, mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime,
                access);
};

// A file: by the handle that open gave, where it is not 0, else by path (a symlink itself).
struct Target {
  using Self = Target;
  uint32_t handle = 0;
  std::string path;
  CPAWAY_FIELDS(handle, path);
};

struct Xattr {
  using Self = Xattr;
  std::string name;
  Bytes value;
  CPAWAY_FIELDS(name, value);
};

// What to change; what is not there stays. `now` times are the agent's clock's.
struct SetAttr {
  using Self = SetAttr;
  std::optional<uint32_t> mode;  // permission bits
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::optional<uint64_t> size;
  std::optional<Time> atime;
  std::optional<Time> mtime;
  bool atime_now = false;
  bool mtime_now = false;
  CPAWAY_FIELDS(mode, uid, gid, size, atime, mtime, atime_now, mtime_now);
};

}  // namespace cpaway::wire
