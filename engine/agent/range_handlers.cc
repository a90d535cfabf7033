#include "engine/agent/handlers.h"
#include "engine/agent/ranges.h"

namespace cpaway::agent {
namespace {

// A descriptor of its own: the source is closed on another strand. ESTALE where it is not open,
// which after a lost connection does not mean that the target is lost, too.
Result<UniqueFd> open_source(Context& context, uint32_t handle) {
  const auto source = context.handles.find(handle);
  if (!source) {
    return source.error().os_errno == EBADF ? fail_os(ESTALE, "source") : fail(source.error());
  }
  return (*source)->duplicate();
}

}  // namespace

Result<wire::SeekTransfer::Answer> on_seek_transfer(Context& context,
                                                    const wire::SeekTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  CPAWAY_ASSIGN(const uint64_t offset, transfer->seek(request.offset, request.hole));
  return wire::SeekTransfer::Answer{offset};
}

Status on_allocate_transfer(Context& context, const wire::AllocateTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->allocate(request);
}

Result<wire::CopyAnswer> on_copy_transfer(Context& context, const wire::CopyTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  CPAWAY_ASSIGN(const UniqueFd source, open_source(context, request.source));
  CPAWAY_ASSIGN(const uint64_t size, transfer->copy(request, source.get()));
  return wire::CopyAnswer{size};
}

Result<wire::SeekTransfer::Answer> on_seek(Context& context, const wire::Seek& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  CPAWAY_ASSIGN(const uint64_t offset, seek_in(handle->fd.get(), request.offset, request.hole));
  return wire::SeekTransfer::Answer{offset};
}

Status on_allocate(Context& context, const wire::Allocate& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  return allocate_in(handle->fd.get(), request.mode, request.offset, request.size);
}

Result<wire::CopyAnswer> on_copy(Context& context, const wire::Copy& request) {
  CPAWAY_ASSIGN(const auto handle, context.handles.find(request.handle));
  CPAWAY_ASSIGN(const UniqueFd source, open_source(context, request.source));
  const CopyJob job{source.get(),   request.source_offset, handle->fd.get(),
                    request.offset, request.size,          handle->reads_back};
  CPAWAY_ASSIGN(const uint64_t size, copy_in(job, [](uint64_t /*offset*/, ByteSpan /*piece*/) {}));
  return wire::CopyAnswer{size};
}

}  // namespace cpaway::agent
