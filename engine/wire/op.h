// Operation codes (engine/PROTOCOL.md, "Operations"). A code is never given a second meaning.
#pragma once

#include <cstdint>
#include <string_view>

namespace cpaway::wire {

enum class Op : uint8_t {
  hello = 0x01,
  ping = 0x02,

  init = 0x10,
  status = 0x11,
  ack = 0x12,  // agent to client: the answer to a block that was written and read back
  cancel = 0x13,
  block = 0x14,
  commit = 0x15,
  put_file = 0x16,
  truncate_transfer = 0x17,
  read_transfer = 0x18,
  basis = 0x19,
  chunks = 0x1a,
  delta_block = 0x1b,
  collect = 0x1c,
  seek_transfer = 0x1d,
  allocate_transfer = 0x1e,
  copy_transfer = 0x1f,

  getattr = 0x20,
  setattr = 0x21,
  readlink = 0x22,
  mknod = 0x23,
  mkdir = 0x24,
  unlink = 0x25,
  rmdir = 0x26,
  symlink = 0x27,
  rename = 0x28,
  link = 0x29,
  open = 0x2a,
  close = 0x2b,
  read = 0x2c,
  write = 0x2d,
  fsync = 0x2e,
  readdir = 0x2f,
  statfs = 0x30,
  getxattr = 0x31,
  listxattr = 0x32,
  setxattr = 0x33,
  removexattr = 0x34,
  digest = 0x35,
  compare = 0x36,
  hide_transfer = 0x37,
  try_xattr = 0x38,
  try_group = 0x39,
  seek = 0x3a,
  allocate = 0x3b,
  copy = 0x3c,
  append = 0x3d,
  getflags = 0x3e,
  setflags = 0x3f,

  open_lock = 0x40,
  lock = 0x41,
  test_lock = 0x42,
  cancel_lock = 0x43,
  take_over = 0x44,

  reply = 0x80,  // agent to client: the answer to everything but a good block
};

// The name in PROTOCOL.md; empty for a code that is none.
[[nodiscard]] std::string_view op_name(Op op);

}  // namespace cpaway::wire
