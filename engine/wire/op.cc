#include "engine/wire/op.h"

#include <array>

namespace cpaway::wire {
namespace {

using Names = std::array<std::string_view, 256>;

constexpr Names make_names() {
  Names names;
  const auto set = [&names](Op op, std::string_view name) {
    names[static_cast<uint8_t>(op)] = name;
  };
  set(Op::hello, "hello");
  set(Op::ping, "ping");
  set(Op::init, "init");
  set(Op::status, "status");
  set(Op::ack, "ack");
  set(Op::cancel, "cancel");
  set(Op::block, "block");
  set(Op::commit, "commit");
  set(Op::put_file, "put_file");
  set(Op::truncate_transfer, "truncate_transfer");
  set(Op::read_transfer, "read_transfer");
  set(Op::basis, "basis");
  set(Op::chunks, "chunks");
  set(Op::delta_block, "delta_block");
  set(Op::collect, "collect");
  set(Op::seek_transfer, "seek_transfer");
  set(Op::allocate_transfer, "allocate_transfer");
  set(Op::copy_transfer, "copy_transfer");
  set(Op::getattr, "getattr");
  set(Op::setattr, "setattr");
  set(Op::readlink, "readlink");
  set(Op::mknod, "mknod");
  set(Op::mkdir, "mkdir");
  set(Op::unlink, "unlink");
  set(Op::rmdir, "rmdir");
  set(Op::symlink, "symlink");
  set(Op::rename, "rename");
  set(Op::link, "link");
  set(Op::open, "open");
  set(Op::close, "close");
  set(Op::read, "read");
  set(Op::write, "write");
  set(Op::fsync, "fsync");
  set(Op::readdir, "readdir");
  set(Op::statfs, "statfs");
  set(Op::getxattr, "getxattr");
  set(Op::listxattr, "listxattr");
  set(Op::setxattr, "setxattr");
  set(Op::removexattr, "removexattr");
  set(Op::digest, "digest");
  set(Op::compare, "compare");
  set(Op::hide_transfer, "hide_transfer");
  set(Op::try_xattr, "try_xattr");
  set(Op::try_group, "try_group");
  set(Op::seek, "seek");
  set(Op::allocate, "allocate");
  set(Op::copy, "copy");
  set(Op::append, "append");
  set(Op::getflags, "getflags");
  set(Op::setflags, "setflags");
  set(Op::open_lock, "open_lock");
  set(Op::lock, "lock");
  set(Op::test_lock, "test_lock");
  set(Op::cancel_lock, "cancel_lock");
  set(Op::take_over, "take_over");
  set(Op::reply, "reply");
  return names;
}

constexpr Names kNames = make_names();

}  // namespace

std::string_view op_name(Op op) {
  return kNames[static_cast<uint8_t>(op)];
}

}  // namespace cpaway::wire
