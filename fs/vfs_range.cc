// Holes, room, and copies that the remote host makes.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// As much is cheaper read and written by the program itself: it goes out with the commit.
constexpr uint64_t kSmallCopy = 16UL << 10U;

void reply_status(const Reply& reply, const Status& status) {
  if (status) {
    reply.ok();
  } else {
    reply.error(status.error());
  }
}

}  // namespace

std::shared_ptr<upload::Upload> Vfs::staged_upload(const InodePtr& inode) {
  const MutexLock lock(inode->mutex);
  return inode->staged ? inode->staged->upload : nullptr;
}

void Vfs::note_change(const InodePtr& inode, const Reply& reply) {
  const MutexLock lock(inode->mutex);
  if (inode->staged) {
    revive(*inode, reply);
    note_new_content(*inode);
  } else {
    ++inode->change_count;
    inode->attr_deadline_ms = 0;
    inode->sha256.reset();
  }
}

Result<uint32_t> Vfs::writer_handle(const InodePtr& inode) {
  CPAWAY_ASSIGN(const auto writer, in_place_writer(inode));
  return writer->handle();
}

void Vfs::lseek(const Reply& reply, uint64_t handle, uint64_t offset, int whence) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  if (whence != SEEK_DATA && whence != SEEK_HOLE) {
    reply.error(EINVAL);
    return;
  }
  const bool hole = whence == SEEK_HOLE;
  when_settled(file->inode, [this, reply, file, offset, hole](const StagedUse& use) {
    if (const auto upload = staged_upload(file->inode)) {
      upload->seek(offset, hole, [reply, use](const Result<uint64_t>& found) {
        if (found) {
          reply.lseek(*found);
        } else {
          reply.error(found.error());
        }
      });
      return;
    }
    wait_in_place(file->inode,
                  [this, reply, file, offset, hole] { seek_remote(reply, file, offset, hole); });
  });
}

void Vfs::seek_remote(const Reply& reply, const std::shared_ptr<OpenFile>& file, uint64_t offset,
                      bool hole) {
  const auto remote = file->writes ? writer_handle(file->inode) : read_handle(*file);
  if (!remote) {
    reply.error(remote.error());
    return;
  }
  client::call(agent_, wire::Seek{*remote, offset, hole},
               [reply](const Result<wire::SeekTransfer::Answer>& answer) {
                 if (answer) {
                   reply.lseek(answer->offset);
                 } else {
                   reply.error(answer.error());
                 }
               });
}

void Vfs::fallocate(const Reply& reply, uint64_t handle, uint32_t mode, uint64_t offset,
                    uint64_t size) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  const InodePtr& inode = file->inode;
  when_settled(inode, [this, reply, file, inode, mode, offset, size](const StagedUse& use) {
    file->touched = true;
    note_change(inode, reply);
    if (const auto upload = staged_upload(inode)) {
      upload->allocate(mode, offset, size,
                       [reply, use](const Status& status) { reply_status(reply, status); });
      return;
    }
    if (reply.answered()) {
      return;
    }
    wait_in_place(inode, [this, reply, inode, mode, offset, size] {
      const auto remote = writer_handle(inode);
      if (!remote) {
        reply.error(remote.error());
        return;
      }
      client::call(agent_, wire::Allocate{*remote, mode, offset, size},
                   [this, reply, inode](const Result<wire::Empty>& answer) {
                     note_change(inode, reply);
                     reply_status(reply, answer ? Status() : Status(fail(answer.error())));
                   });
    });
  });
}

// What is answered with EXDEV the mounting kernel copies itself, by reading and writing.
void Vfs::copy_file_range(const Reply& reply, const CopyRequest& request) {
  const auto source = find_file(reply, request.source);
  const auto file = source ? find_file(reply, request.handle) : nullptr;
  if (!file) {
    return;
  }
  if (request.flags != 0) {
    reply.error(EINVAL);
    return;
  }
  // Nothing is held of the source while the target settles: two files may be copied crosswise.
  when_settled(source->inode, [this, reply, source, file, request](const StagedUse& /*use*/) {
    if (staged_upload(source->inode)) {
      reply.error(EXDEV);
      return;
    }
    wait_in_place(source->inode, [this, reply, source, file, request] {
      const auto remote = read_handle(*source);
      if (!remote) {
        reply.error(remote.error());
        return;
      }
      when_settled(file->inode, [this, reply, file, request, from = *remote](const StagedUse& use) {
        copy_settled(reply, file, from, request, use);
      });
    });
  });
}

void Vfs::copy_settled(const Reply& reply, const std::shared_ptr<OpenFile>& file, uint32_t source,
                       const CopyRequest& request, const StagedUse& use) {
  const InodePtr& inode = file->inode;
  const uint64_t size = std::min(request.size, wire::kMaxCopySize);
  const auto answer = [this, reply, inode, use](const Result<uint64_t>& copied) {
    note_change(inode, reply);
    if (copied) {
      reply.written(*copied);
    } else {
      reply.error(copied.error());
    }
  };
  const auto upload = staged_upload(inode);
  if (!upload && reply.answered()) {
    return;  // its program is gone, and what it had staged given up: not into the old file
  }
  if (upload && size <= kSmallCopy) {
    reply.error(EXDEV);
    return;
  }
  file->touched = true;
  note_change(inode, reply);
  if (upload) {
    upload->copy(request.offset, source, request.source_offset, size, answer);
    return;
  }
  wait_in_place(inode, [this, inode, source, request, size, answer] {
    const auto remote = writer_handle(inode);
    if (!remote) {
      answer(fail(remote.error()));
      return;
    }
    client::call(
        agent_, wire::Copy{*remote, request.offset, source, request.source_offset, size},
        [answer, size](const Result<wire::CopyAnswer>& copied) {
          answer(copied ? Result<uint64_t>(std::min(copied->size, size)) : fail(copied.error()));
        });
  });
}

}  // namespace cpaway::fs
