// After a lost connection: a new agent, which knows no handle of the old one's.
#include "engine/base/log.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// By the same number, so that whoever has it need not know.
void open_again(client::Requester& agent, uint32_t handle, const std::string& path,
                uint32_t flags) {
  client::call(agent, wire::Open{handle, path, flags, 0}, [path](const Result<wire::Attr>& answer) {
    if (!answer) {
      log::warning(path, " could not be opened again: ", answer.error().to_string());
    }
  });
}

}  // namespace

// Its mode may forbid that: then those who may read it open it each for itself.
void Vfs::reopen_kept(client::Requester& agent, const InodePtr& inode, uint32_t kept,
                      const std::string& path) {
  uint32_t flags = wire::kOpenRead | wire::kOpenWrite;
  {
    const MutexLock lock(inode->mutex);
    if ((map_.access_of_own(inode->attr.mode) & wire::kMayWrite) != 0) {
      flags = wire::kOpenWrite;
    }
  }
  client::call(agent, wire::Open{kept, path, flags, 0, 0},
               [this, inode, kept, path](const Result<wire::Attr>& answer) {
                 if (answer) {
                   return;
                 }
                 log::warning(path, " could not be opened again: ", answer.error().to_string());
                 bool is_unused = false;
                 {
                   const MutexLock lock(inode->mutex);
                   if (inode->kept_handle == kept) {
                     inode->kept_handle = 0;
                     is_unused = inode->writer_handle != kept;
                   }
                 }
                 close_remote(is_unused ? kept : 0);
               });
}

// A file that has lost its name meanwhile is gone: its handles fail.
void Vfs::reopen(client::Requester& agent) {
  for (const InodePtr& inode : inodes_.all()) {
    const auto path = inodes_.path(*inode);
    std::vector<std::shared_ptr<OpenFile>> files;
    uint32_t writer = 0;
    uint32_t kept = 0;
    {
      const MutexLock lock(inode->mutex);
      kept = inode->kept_handle;
      writer = inode->writer_handle != kept ? inode->writer_handle : 0;
      for (const auto& weak : inode->open_files) {
        if (auto file = weak.lock()) {
          files.push_back(std::move(file));
        }
      }
    }
    if (!path) {
      continue;
    }
    if (writer != 0) {
      open_again(agent, writer, *path, wire::kOpenWrite);
    }
    if (kept != 0) {
      reopen_kept(agent, inode, kept, *path);
    }
    for (const auto& file : files) {
      uint32_t handle = 0;
      {
        const MutexLock lock(file->mutex);
        handle = file->remote_handle;
      }
      if (handle != 0) {
        open_again(agent, handle, *path,
                   wire::kOpenRead | (file->keeps_atime ? wire::kOpenNoAtime : 0));
      }
    }
  }
  reopen_locks(agent);
  look_at_remote_clock(agent);
  for (const auto& stream : dirs_.all()) {
    if (const auto path = inodes_.path(*stream->inode)) {
      open_again(agent, stream->remote_handle, *path, wire::kOpenRead | wire::kOpenDirectory);
      const MutexLock lock(stream->mutex);
      stream->is_reopened = true;
    }
  }
}

}  // namespace cpaway::fs
