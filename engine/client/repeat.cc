#include "engine/client/repeat.h"

#include <cerrno>

namespace cpaway::client {
namespace {

using wire::Op;

Op op_of(const wire::Frame& frame) {
  return static_cast<Op>(frame.head[sizeof(uint32_t)]);
}

ByteSpan fields_of(const wire::Frame& frame) {
  return ByteSpan(frame.head).subspan(wire::kFrameHeaderSize + sizeof(uint32_t));
}

// The errno of an answer, 0 for a good one.
int errno_of_answer(const wire::Incoming& answer) {
  const auto opened = wire::open_reply(answer.body());
  return opened || opened.error().code != Errc::os ? 0 : opened.error().os_errno;
}

template <class Request, class GetPath>
Reading look_at(const wire::Frame& request, GetPath path) {
  Reading reading;
  if (const auto opened = wire::unpack<Request>(fields_of(request))) {
    reading.ask = wire::pack(0, wire::GetAttr{wire::Target{0, path(*opened)}});
  }
  return reading;
}

Reading take_as_done() {
  Reading reading;
  const wire::Frame frame = wire::pack_answer(0, wire::Empty{});
  reading.answer = wire::Incoming{
      Op::reply, 0, Bytes(frame.head.begin() + wire::kFrameHeaderSize, frame.head.end())};
  return reading;
}

}  // namespace

bool may_repeat(Op op) {
  switch (op) {
    case Op::hello:
    case Op::open:  // reopened by whoever has the handle
    case Op::open_lock:
    case Op::take_over:
    case Op::init:
    case Op::status:
    case Op::cancel:
    case Op::block:
    case Op::delta_block:
    case Op::commit:
    case Op::put_file:
    case Op::truncate_transfer:
    case Op::read_transfer:
    case Op::basis:
    case Op::chunks:
    case Op::seek_transfer:
    case Op::allocate_transfer:
    case Op::copy_transfer:
    case Op::hide_transfer:
    case Op::append:
    case Op::try_xattr:
    case Op::try_group:
      return false;
    default:
      return true;
  }
}

Reading read_repeated(const wire::Frame& request, const wire::Incoming& answer) {
  const int error = errno_of_answer(answer);
  if (error == EEXIST) {
    switch (op_of(request)) {
      case Op::mkdir:
        return look_at<wire::MkDir>(request, [](const auto& r) { return r.path; });
      case Op::mknod:
        return look_at<wire::MkNod>(request, [](const auto& r) { return r.path; });
      case Op::symlink:
        return look_at<wire::SymLink>(request, [](const auto& r) { return r.path; });
      case Op::link:
        return look_at<wire::Link>(request, [](const auto& r) { return r.to; });
      default:
        return {};
    }
  }
  if (error == ENOENT) {
    const Op op = op_of(request);
    if (op == Op::unlink || op == Op::rmdir || op == Op::rename) {
      return take_as_done();
    }
  }
  if (error == ENODATA && op_of(request) == Op::removexattr) {
    return take_as_done();
  }
  return {};
}

}  // namespace cpaway::client
