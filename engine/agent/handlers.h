// One function for each request, named after it. What they answer is in engine/wire/message.h.
//
// A handler judges the fields of its message, does the work and returns the answer or what went
// wrong; it knows nothing of frames. Which thread runs it says the dispatch table.
#pragma once

#include <optional>

#include "engine/agent/context.h"
#include "engine/wire/lock_message.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// ---- transfer_handlers.cc
Result<wire::Init::Answer> on_init(Context& context, const wire::Init& request);
Result<wire::TransferStatus::Answer> on_status(Context& context,
                                               const wire::TransferStatus& request);
Status on_cancel(Context& context, const wire::Cancel& request);
Result<wire::Block::Answer> on_block(Context& context, const wire::Block& request, ByteSpan bulk);
Result<wire::CommitAnswer> on_commit(Context& context, const wire::Commit& request);
Result<wire::CommitAnswer> on_put_file(Context& context, const wire::PutFile& request,
                                       ByteSpan bulk);
Status on_try_xattr(Context& context, const wire::TryXattr& request);
Status on_try_group(Context& context, const wire::TryGroup& request);
Status on_hide_transfer(Context& context, const wire::HideTransfer& request);
Status on_truncate_transfer(Context& context, const wire::TruncateTransfer& request);
Result<Bytes> on_read_transfer(Context& context, const wire::ReadTransfer& request);
Result<wire::Attr> on_basis(Context& context, const wire::AddBasis& request);
Result<Bytes> on_chunks(Context& context, const wire::ListChunks& request);
Result<wire::Block::Answer> on_delta_block(Context& context, const wire::DeltaBlock& request,
                                           ByteSpan bulk);

// ---- collect.cc: what uploads have left
Result<wire::Collect::Answer> on_collect(Context& context, const wire::Collect& request);
// Removes them from a directory that holds nothing else; false where it does, or one is in use.
[[nodiscard]] bool clear_left(const Location& directory);

// ---- file_handlers.cc: handles and content
Result<wire::Attr> on_open(Context& context, const wire::Open& request);
Status on_close(Context& context, const wire::Close& request);
Result<Bytes> on_read(Context& context, const wire::Read& request);
Result<wire::Append::Answer> on_append(Context& context, const wire::Append& request,
                                       ByteSpan bulk);
Result<wire::Write::Answer> on_write(Context& context, const wire::Write& request, ByteSpan bulk);
Status on_fsync(Context& context, const wire::FSync& request);
Result<wire::ReadDir::Answer> on_readdir(Context& context, const wire::ReadDir& request);
Result<wire::Digest::Answer> on_digest(Context& context, const wire::Digest& request);
Result<wire::Compare::Answer> on_compare(Context& context, const wire::Compare& request);

// ---- range_handlers.cc: parts of files
Result<wire::SeekTransfer::Answer> on_seek_transfer(Context& context,
                                                    const wire::SeekTransfer& request);
Status on_allocate_transfer(Context& context, const wire::AllocateTransfer& request);
Result<wire::CopyAnswer> on_copy_transfer(Context& context, const wire::CopyTransfer& request);
Result<wire::SeekTransfer::Answer> on_seek(Context& context, const wire::Seek& request);
Status on_allocate(Context& context, const wire::Allocate& request);
Result<wire::CopyAnswer> on_copy(Context& context, const wire::Copy& request);

// ---- name_handlers.cc: names and attributes
Result<wire::Ping::Answer> on_ping(Context& context, const wire::Ping& request);
Result<wire::Attr> on_getattr(Context& context, const wire::GetAttr& request);
Result<wire::Attr> on_setattr(Context& context, const wire::SetAttrRequest& request);
Result<wire::ReadLink::Answer> on_readlink(Context& context, const wire::ReadLink& request);
Result<wire::Attr> on_mknod(Context& context, const wire::MkNod& request);
Result<wire::Attr> on_mkdir(Context& context, const wire::MkDir& request);
Status on_unlink(Context& context, const wire::Unlink& request);
Status on_rmdir(Context& context, const wire::RmDir& request);
Result<wire::Attr> on_symlink(Context& context, const wire::SymLink& request);
Status on_rename(Context& context, const wire::Rename& request);
Result<wire::Attr> on_link(Context& context, const wire::Link& request);
Result<wire::StatFs::Answer> on_statfs(Context& context, const wire::StatFs& request);

// ---- lock_handlers.cc
Result<wire::OpenLock::Answer> on_open_lock(Context& context, const wire::OpenLock& request);
// Nothing: it waits, and is answered later, as request `id`.
Result<std::optional<wire::Lock::Answer>> on_lock(Context& context, const wire::Lock& request,
                                                  uint32_t id);
Result<wire::TestLock::Answer> on_test_lock(Context& context, const wire::TestLock& request);
Status on_cancel_lock(Context& context, const wire::CancelLock& request);
Status on_take_over(Context& context, const wire::TakeOver& request);

// ---- xattr_handlers.cc
Result<wire::GetXattr::Answer> on_getxattr(Context& context, const wire::GetXattr& request);
Result<wire::ListXattr::Answer> on_listxattr(Context& context, const wire::ListXattr& request);
Status on_setxattr(Context& context, const wire::SetXattr& request);
Status on_removexattr(Context& context, const wire::RemoveXattr& request);

// ---- flag_handlers.cc: inode flags
Result<wire::GetFlags::Answer> on_getflags(Context& context, const wire::GetFlags& request);
Status on_setflags(Context& context, const wire::SetFlags& request);

// What a target names: its handle's descriptor, which stays open as long as the location lives, or
// its path.
[[nodiscard]] Result<Location> locate_target(Context& context, const wire::Target& target);

}  // namespace cpaway::agent
