#include "engine/agent/dispatch.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <iterator>
#include <new>
#include <type_traits>

#include "engine/agent/handlers.h"
#include "engine/wire/pack.h"

namespace cpaway::agent {
namespace {

using wire::Op;

wire::Frame pack_good(uint32_t id, const wire::Block::Answer& answer) {
  return wire::pack_as(Op::ack, id, answer);
}
wire::Frame pack_good(uint32_t id, Bytes bulk) {
  return wire::pack_answer(id, wire::Empty{}, std::make_shared<const Bytes>(std::move(bulk)));
}
template <class Answer>
wire::Frame pack_good(uint32_t id, const Answer& answer) {
  return wire::pack_answer(id, answer);
}

// The one place where a handler's result becomes a frame.
template <class Message, auto kHandler>
wire::Frame answer(Context& context, const wire::Incoming& request) {
  constexpr bool kTakesBulk =
      std::is_invocable_v<decltype(kHandler), Context&, const Message&, ByteSpan>;
  ByteSpan bulk;
  auto message = wire::unpack<Message>(request.body(), kTakesBulk ? &bulk : nullptr);
  if (!message) {
    return wire::pack_error(request.id, with_context(message.error(), wire::op_name(request.op)));
  }
  auto result = [&] {
    if constexpr (kTakesBulk) {
      return kHandler(context, *message, bulk);
    } else {
      return kHandler(context, *message);
    }
  }();
  if (!result) {
    return wire::pack_error(request.id, result.error());
  }
  if constexpr (std::is_same_v<decltype(result), Status>) {
    return wire::pack_answer(request.id, wire::Empty{});
  } else {
    return pack_good(request.id, std::move(*result));
  }
}

wire::Frame answer_lock(Context& context, const wire::Incoming& request) {
  const auto message = wire::unpack<wire::Lock>(request.body());
  if (!message) {
    return wire::pack_error(request.id, with_context(message.error(), wire::op_name(request.op)));
  }
  const auto held = on_lock(context, *message, request.id);
  if (!held) {
    return wire::pack_error(request.id, held.error());
  }
  return *held ? wire::pack_answer(request.id, **held) : wire::Frame{};
}

template <auto kHandler, class R, class Message, class... Rest>
constexpr auto answer_of(R (*)(Context&, const Message&, Rest...)) {
  return &answer<Message, kHandler>;
}
template <auto kHandler>
constexpr Route route(Op op, uint8_t effects, Order order, Place place) {
  return {op, effects, order, place, answer_of<kHandler>(kHandler)};
}

constexpr Order kNone = Order::none;
constexpr Order kHandle = Order::of_handle;
constexpr Order kTransfer = Order::of_transfer;
constexpr Place kReader = Place::reader;
constexpr Place kPool = Place::pool;

// open, open_lock and init stay on the reader, so that what follows them finds their id.
constexpr Route kRoutes[] = {
    route<&on_ping>(Op::ping, kLooks, kNone, kReader),
    route<&on_init>(Op::init, kWrites, kNone, kReader),
    route<&on_status>(Op::status, kLooks, kTransfer, kReader),
    route<&on_cancel>(Op::cancel, kLooks, kTransfer, kReader),
    route<&on_block>(Op::block, kWrites, kTransfer, kPool),
    route<&on_commit>(Op::commit, kWrites, kTransfer, kPool),
    route<&on_put_file>(Op::put_file, kWrites, kNone, kPool),
    route<&on_truncate_transfer>(Op::truncate_transfer, kWrites, kTransfer, kPool),
    // What this client wrote itself: no content that a write-only key hides.
    route<&on_read_transfer>(Op::read_transfer, kLooks, kTransfer, kPool),
    route<&on_basis>(Op::basis, kReadsContent, kNone, kReader),
    route<&on_chunks>(Op::chunks, kReadsContent, kNone, kPool),
    route<&on_delta_block>(Op::delta_block, kWrites, kTransfer, kPool),
    route<&on_collect>(Op::collect, kRemoves, kNone, kPool),
    route<&on_seek_transfer>(Op::seek_transfer, kLooks, kTransfer, kPool),
    route<&on_allocate_transfer>(Op::allocate_transfer, kWrites, kTransfer, kPool),
    route<&on_copy_transfer>(Op::copy_transfer, kReadsContent | kWrites, kTransfer, kPool),
    route<&on_try_xattr>(Op::try_xattr, kWrites, kTransfer, kPool),
    route<&on_try_group>(Op::try_group, kWrites, kTransfer, kPool),
    route<&on_hide_transfer>(Op::hide_transfer, kWrites, kTransfer, kPool),
    route<&on_getattr>(Op::getattr, kLooks, kHandle, kReader),
    route<&on_setattr>(Op::setattr, kWrites, kHandle, kReader),
    route<&on_readlink>(Op::readlink, kLooks, kNone, kReader),
    route<&on_mknod>(Op::mknod, kWrites, kNone, kReader),
    route<&on_mkdir>(Op::mkdir, kWrites, kNone, kReader),
    route<&on_unlink>(Op::unlink, kRemoves, kNone, kReader),
    route<&on_rmdir>(Op::rmdir, kRemoves, kNone, kReader),
    route<&on_symlink>(Op::symlink, kWrites, kNone, kReader),
    route<&on_rename>(Op::rename, kWrites, kNone, kReader),
    route<&on_link>(Op::link, kWrites, kHandle, kReader),
    route<&on_open>(Op::open, kLooks, kNone, kReader),
    route<&on_close>(Op::close, kLooks, kHandle, kPool),
    route<&on_read>(Op::read, kReadsContent, kHandle, kPool),
    route<&on_append>(Op::append, kWrites, kHandle, kPool),
    route<&on_write>(Op::write, kWrites, kHandle, kPool),
    route<&on_fsync>(Op::fsync, kLooks, kHandle, kPool),
    route<&on_readdir>(Op::readdir, kLooks, kHandle, kPool),
    route<&on_statfs>(Op::statfs, kLooks, kNone, kReader),
    route<&on_getxattr>(Op::getxattr, kLooks, kHandle, kReader),
    route<&on_listxattr>(Op::listxattr, kLooks, kHandle, kReader),
    route<&on_setxattr>(Op::setxattr, kWrites, kHandle, kReader),
    route<&on_removexattr>(Op::removexattr, kWrites, kHandle, kReader),
    route<&on_getflags>(Op::getflags, kLooks, kHandle, kReader),
    route<&on_setflags>(Op::setflags, kWrites, kHandle, kReader),
    route<&on_compare>(Op::compare, kReadsContent, kHandle, kPool),
    route<&on_seek>(Op::seek, kReadsContent, kHandle, kPool),
    route<&on_allocate>(Op::allocate, kWrites, kHandle, kPool),
    route<&on_copy>(Op::copy, kReadsContent | kWrites, kHandle, kPool),
    route<&on_open_lock>(Op::open_lock, kLooks, kNone, kReader),
    {Op::lock, kLooks, kHandle, kPool, &answer_lock},
    route<&on_test_lock>(Op::test_lock, kLooks, kHandle, kPool),
    route<&on_cancel_lock>(Op::cancel_lock, kLooks, kHandle, kPool),
    // What follows it takes locks again: not before the old agent has let them go.
    route<&on_take_over>(Op::take_over, kLooks, kNone, kReader),
    route<&on_digest>(Op::digest, kReadsContent, kHandle, kPool),
};

}  // namespace

const Route* find_route(Op op) {
  const auto* found = std::find_if(std::begin(kRoutes), std::end(kRoutes),
                                   [op](const Route& route) { return route.op == op; });
  return found == std::end(kRoutes) ? nullptr : found;
}

wire::Frame run_route(const Route& route, Context& context, const wire::Incoming& request) {
  if (const Status allowed = check_allowed(context.mode, route.effects); !allowed) {
    return wire::pack_error(request.id, allowed.error());
  }
  try {
    return route.answer(context, request);
  } catch (const std::bad_alloc&) {
    return wire::pack_error(request.id, os_error(ENOMEM, "agent"));
  } catch (const std::exception& thrown) {  // of a library
    return wire::pack_error(request.id, os_error(EIO, thrown.what()));
  }
}

}  // namespace cpaway::agent
