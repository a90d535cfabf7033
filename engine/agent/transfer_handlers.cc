#include <unistd.h>

#include <cerrno>

#include "engine/agent/handlers.h"
#include "engine/agent/placement.h"
#include "engine/agent/verified_io.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {

Result<wire::Init::Answer> on_init(Context& context, const wire::Init& request) {
  CPAWAY_TRY(context.transfers.check_free(request.transfer));
  auto transfer = Transfer::create(context.root, request.path);
  context.transfers.add(request.transfer, transfer);
  if (!transfer) {
    return fail(transfer.error());
  }
  return wire::Init::Answer{(*transfer)->file().name()};
}

Result<wire::TransferStatus::Answer> on_status(Context& context,
                                               const wire::TransferStatus& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->status();
}

Status on_cancel(Context& context, const wire::Cancel& request) {
  // The last owner's destructor removes the staging file, here.
  CPAWAY_ASSIGN(const auto transfer, context.transfers.remove(request.transfer));
  return {};
}

Result<wire::Block::Answer> on_block(Context& context, const wire::Block& request, ByteSpan bulk) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->write_block(request, bulk);
}

Result<wire::CommitAnswer> on_commit(Context& context, const wire::Commit& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  CPAWAY_ASSIGN(const hash::Sha256Value sha256, transfer->finish(request.size));
  if (request.sha256 && *request.sha256 != sha256) {
    return fail(Errc::verify, request.placement.path);
  }
  CPAWAY_ASSIGN(auto answer,
                place(context, transfer->file(), request.placement, request.durable, sha256));
  ignore(context.transfers.remove(request.transfer), "it was there above, on this strand");
  return answer;
}

Result<wire::CommitAnswer> on_put_file(Context& context, const wire::PutFile& request,
                                       ByteSpan bulk) {
  if (bulk.size() > wire::kBlockSize) {
    return fail_os(EINVAL, "size");
  }
  CPAWAY_ASSIGN(StagingFile file, StagingFile::create(context.root, request.placement.path));
  CPAWAY_ASSIGN(const ByteSpan read, write_and_read_back(file.fd(), bulk, 0));
  const hash::Sha256Value sha256 = hash::sha256(read);
  if (sha256 != request.sha256) {
    return fail(Errc::verify, request.placement.path);
  }
  return place(context, file, request.placement, request.durable, sha256);
}

Status on_truncate_transfer(Context& context, const wire::TruncateTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->truncate(request.size);
}

Result<Bytes> on_read_transfer(Context& context, const wire::ReadTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return read_at(transfer->file().fd(), request.offset, request.size);
}

}  // namespace cpaway::agent
