#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "engine/agent/attr.h"
#include "engine/agent/handlers.h"
#include "engine/agent/placement.h"
#include "engine/agent/verified_io.h"
#include "engine/wire/frame.h"

namespace cpaway::agent {

Result<wire::Init::Answer> on_init(Context& context, const wire::Init& request) {
  CPAWAY_TRY(context.transfers.check_free(request.transfer));
  // What an upload has left may be another client's: no content for a write-only one.
  const bool may_resume = context.mode != Mode::write_only;
  auto transfer = Transfer::create(context.root, request, may_resume);
  context.transfers.add(request.transfer, transfer);
  if (!transfer) {
    return fail(transfer.error());
  }
  const StagingFile& file = (*transfer)->file();
  return wire::Init::Answer{file.name(), file.kept_size()};
}

Result<wire::TransferStatus::Answer> on_status(Context& context,
                                               const wire::TransferStatus& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->status();
}

Status on_cancel(Context& context, const wire::Cancel& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.remove(request.transfer));
  if (transfer != nullptr && !request.keep) {
    transfer->discard();
  }
  return {};  // the last owner's destructor does it, here
}

Result<wire::Block::Answer> on_block(Context& context, const wire::Block& request, ByteSpan bulk) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->write_block(request, bulk);
}

Result<wire::CommitAnswer> on_commit(Context& context, const wire::Commit& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  const wire::Placement& placement = request.placement;
  const auto old = transfer->identical_to(request.size);
  if (old && !placement.exclusive && placement.join == wire::kJoinNot &&
      placement.dropped.empty() && (!placement.fresh || can_pass_for_new(old->fd.get()))) {
    const hash::Sha256Value sha256 = transfer->noted_digest();
    if (request.sha256 && *request.sha256 != sha256) {
      return fail(Errc::verify, placement.path);
    }
    auto answer = place_identical(context, old->fd.get(), placement, request.durable, sha256);
    if (answer) {
      transfer->discard();
      ignore(context.transfers.remove(request.transfer), "it was there above, on this strand");
      return answer;
    }  // else it can still be replaced, or that fails for the same reason
  }
  CPAWAY_ASSIGN(const hash::Sha256Value sha256,
                transfer->finish(request.size, request.sha256.has_value()));
  if (request.sha256 && *request.sha256 != sha256) {
    return fail(Errc::verify, placement.path);
  }
  CPAWAY_ASSIGN(auto answer, place(context, transfer->file(), placement, request.durable, sha256));
  if (answer.joined) {
    transfer->discard();
  }
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

Status on_try_xattr(Context& context, const wire::TryXattr& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->try_xattr(request.xattr, request.remove);
}

Status on_try_group(Context& context, const wire::TryGroup& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->try_group(request.gid);
}

Status on_hide_transfer(Context& context, const wire::HideTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->hide();
}

Status on_truncate_transfer(Context& context, const wire::TruncateTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->truncate(request.size);
}

Result<Bytes> on_read_transfer(Context& context, const wire::ReadTransfer& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->read(request.offset, request.size);
}

Result<wire::Attr> on_basis(Context& context, const wire::AddBasis& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  if (request.basis == wire::kStagingBasis) {
    return fail_os(EINVAL, "number of a basis");
  }
  Basis basis;
  CPAWAY_ASSIGN(basis.fd, context.root.open_path(request.path, O_RDONLY));
  CPAWAY_ASSIGN(basis.attr, read_attr(basis.fd.get()));
  if (!S_ISREG(basis.attr.mode)) {
    return fail_os(EINVAL, "not a regular file");
  }
  basis.is_target = request.path == transfer->path();
  const wire::Attr attr = basis.attr;
  CPAWAY_TRY(transfer->bases().add(request.basis, std::move(basis)));
  return attr;
}

Result<Bytes> on_chunks(Context& context, const wire::ListChunks& request) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  CPAWAY_ASSIGN(const auto basis, transfer->bases().find(request.basis));
  return list_chunks(*basis, request);
}

Result<wire::Block::Answer> on_delta_block(Context& context, const wire::DeltaBlock& request,
                                           ByteSpan bulk) {
  CPAWAY_ASSIGN(const auto transfer, context.transfers.find(request.transfer));
  return transfer->write_delta(request, bulk);
}

}  // namespace cpaway::agent
