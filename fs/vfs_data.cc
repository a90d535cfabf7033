// Reading and writing.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fs/vfs.h"

namespace cpaway::fs {

void Vfs::note_new_content(Inode& inode) {
  ++inode.change_count;
  inode.attr.mtime = remote_clock_.now();
  inode.attr.ctime = inode.attr.mtime;
  inode.staged->placement.attr.mtime.reset();
  inode.staged->placement.attr.mtime_now = false;
}

void Vfs::revive(Inode& inode, const Reply& reply) {
  if (!reply.answered()) {
    inode.staged->abandoned = false;
  }
}

void Vfs::write(const Reply& reply, uint64_t handle, uint64_t offset, ByteSpan data, bool append) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  if (file->lock_lost) {
    reply.error(EIO);
    return;
  }
  const InodePtr& inode = file->inode;
  const auto answer = [reply, size = data.size()](const Status& status) {
    if (status) {
      reply.written(size);
    } else {
      reply.error(status.error());
    }
  };
  std::shared_ptr<upload::Upload> upload;
  StagedUse use;
  bool loses_bits = false;  // the agent's user may not keep them, whatever the kernel here thinks
  {
    const MutexLock lock(inode->mutex);
    ++inode->change_count;
    if (inode->staged && inode->staged->committing) {
      // The kernel's buffer is gone when this returns.
      inode->after_commit.emplace_back(
          [this, reply, handle, offset, append, copy = Bytes(data.begin(), data.end())] {
            write(reply, handle, offset, copy, append);
          });
      return;
    }
    file->touched = true;  // here, so that no commit before this write forgets it
    if (inode->staged) {
      upload = inode->staged->upload;
      use = use_staged(inode);
      revive(*inode, reply);
      note_new_content(*inode);
    } else if (reply.answered()) {
      return;  // the program is gone, and what it had staged given up: not into the old file
    } else {
      loses_bits = (inode->attr.mode & (S_ISUID | S_ISGID)) != 0;
      inode->attr_deadline_ms = 0;
      inode->sha256.reset();
    }
  }
  if (loses_bits) {
    notifier_.invalidate_inode(inode->id, false);
  }
  if (upload) {
    upload->write(offset, data, [this, answer, use, inode](const Status& status) {
      {
        // Without the page lock a reader may have cached the old bytes under the new time.
        const MutexLock lock(inode->mutex);
        if (inode->staged && inode->staged->uncached) {
          note_new_content(*inode);
        }
      }
      answer(status);
    });
    return;
  }
  const auto writer = in_place_writer(inode);
  if (!writer) {
    reply.error(writer.error());
  } else if (append) {
    (*writer)->append(offset, data, answer);
  } else {
    (*writer)->write(offset, data, answer);
  }
}

void Vfs::read(const Reply& reply, uint64_t handle, uint64_t offset, uint32_t size) {
  const auto file = find_file(reply, handle);
  if (!file) {
    return;
  }
  if (file->lock_lost) {
    reply.error(EIO);
    return;
  }
  size = std::min(size, wire::kBlockSize);
  when_settled(file->inode, [this, reply, file, offset, size](const StagedUse& use) {
    std::shared_ptr<upload::Upload> upload;
    {
      const MutexLock lock(file->inode->mutex);
      if (file->inode->staged) {
        upload = file->inode->staged->upload;
      }
    }
    if (!upload) {
      // Writes in place come first: what was written is what is read.
      wait_in_place(file->inode,
                    [this, reply, file, offset, size] { read_remote(reply, file, offset, size); });
      return;
    }
    upload->read(offset, size, [reply, use](const Result<Bytes>& bytes) {
      if (bytes) {
        reply.data(*bytes);
      } else {
        reply.error(bytes.error());
      }
    });
  });
}

void Vfs::read_remote(const Reply& reply, const std::shared_ptr<OpenFile>& file, uint64_t offset,
                      uint32_t size) {
  const auto handle = read_handle(*file);
  if (!handle) {
    reply.error(handle.error());
    return;
  }
  client::call_bulk(agent_, wire::Read{*handle, offset, size},
                    [reply, size](const Result<client::WithBulk<wire::Empty>>& answer) {
                      if (!answer) {
                        reply.error(answer.error());
                      } else if (answer->bulk.size() > size) {
                        reply.error(EIO);
                      } else {
                        reply.data(answer->bulk);
                      }
                    });
}

}  // namespace cpaway::fs
