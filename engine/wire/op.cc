#include "engine/wire/op.h"

namespace cpaway::wire {

std::string_view op_name(Op op) {
  switch (op) {
    case Op::hello:
      return "hello";
    case Op::ping:
      return "ping";
    case Op::init:
      return "init";
    case Op::status:
      return "status";
    case Op::ack:
      return "ack";
    case Op::cancel:
      return "cancel";
    case Op::block:
      return "block";
    case Op::commit:
      return "commit";
    case Op::put_file:
      return "put_file";
    case Op::truncate_transfer:
      return "truncate_transfer";
    case Op::read_transfer:
      return "read_transfer";
    case Op::getattr:
      return "getattr";
    case Op::setattr:
      return "setattr";
    case Op::readlink:
      return "readlink";
    case Op::mknod:
      return "mknod";
    case Op::mkdir:
      return "mkdir";
    case Op::unlink:
      return "unlink";
    case Op::rmdir:
      return "rmdir";
    case Op::symlink:
      return "symlink";
    case Op::rename:
      return "rename";
    case Op::link:
      return "link";
    case Op::open:
      return "open";
    case Op::close:
      return "close";
    case Op::read:
      return "read";
    case Op::write:
      return "write";
    case Op::fsync:
      return "fsync";
    case Op::readdir:
      return "readdir";
    case Op::statfs:
      return "statfs";
    case Op::getxattr:
      return "getxattr";
    case Op::listxattr:
      return "listxattr";
    case Op::setxattr:
      return "setxattr";
    case Op::removexattr:
      return "removexattr";
    case Op::digest:
      return "digest";
    case Op::reply:
      return "reply";
  }
  return {};
}

}  // namespace cpaway::wire
