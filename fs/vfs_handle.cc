// What is open at the agent for open files: handles for reading, the one of the writer in place,
// and the one that a commit has given.
#include <cerrno>
#include <utility>

#include "engine/base/log.h"
#include "fs/vfs.h"

namespace cpaway::fs {

// Of a file that has lost its name what is open already is opened anew. Nothing where neither is.
std::optional<wire::Open> Vfs::open_request(const InodePtr& inode, uint32_t flags) {
  const auto target = target_of(inode);
  if (!target) {
    return std::nullopt;
  }
  return wire::Open{next_handle(), target->path, flags, 0, target->handle};
}

void Vfs::send_open(const wire::Open& request) {
  client::call(agent_, request, [](const Result<wire::Attr>& answer) {
    if (!answer) {
      log::debug("open: ", answer.error().to_string());
    }
  });
}

Result<uint32_t> Vfs::read_handle(OpenFile& file) {
  uint64_t version = 0;
  uint32_t kept = 0;
  {
    const MutexLock lock(file.inode->mutex);
    version = file.inode->version;
    const bool readable = (map_.access_of_own(file.inode->attr.mode) & wire::kMayRead) != 0;
    kept = readable ? 0 : file.inode->kept_handle;
  }
  uint32_t old = 0;
  {
    const MutexLock lock(file.mutex);
    if (file.remote_handle != 0 && file.version == version) {
      return file.remote_handle;
    }
    old = file.remote_handle;
  }
  if (kept != 0) {
    return kept;
  }
  if (old != 0 && !inodes_.path(*file.inode)) {
    return old;
  }
  const uint32_t flags = wire::kOpenRead | (file.keeps_atime ? wire::kOpenNoAtime : 0);
  const auto request = open_request(file.inode, flags);
  if (!request) {
    return fail_os(ESTALE, "no name");
  }
  send_open(*request);
  uint32_t unused = request->handle;
  uint32_t current = 0;
  {
    // Published after the open was sent, so that no read overtakes it.
    const MutexLock lock(file.mutex);
    if (!file.is_closed && file.remote_handle == old) {
      unused = old;
      file.remote_handle = request->handle;
      file.version = version;
    }
    current = file.remote_handle;
  }
  close_remote(unused);
  if (current == 0) {
    return fail_os(EBADF, "closed meanwhile");
  }
  return current;
}

Result<std::shared_ptr<upload::InPlaceWriter>> Vfs::in_place_writer(const InodePtr& inode) {
  std::shared_ptr<upload::InPlaceWriter> writer;
  while (!writer) {
    uint64_t known_size = 0;
    WriterBase base{};
    {
      const MutexLock lock(inode->mutex);
      if (inode->writer) {
        return inode->writer;
      }
      known_size = inode->attr.size;
      base = writer_base(*inode);
    }
    uint32_t handle = base.kept_handle;
    if (handle == 0) {
      const auto request = open_request(inode, wire::kOpenWrite);
      if (!request) {
        return fail_os(ESTALE, "no name");
      }
      send_open(*request);
      handle = request->handle;
    }
    writer = adopt_writer(inode, handle, known_size, base);
  }
  return writer;
}

Vfs::WriterBase Vfs::writer_base(const Inode& inode) {
  return {inode.version, inode.kept_handle};
}

std::shared_ptr<upload::InPlaceWriter> Vfs::adopt_writer(const InodePtr& inode, uint32_t handle,
                                                         uint64_t known_size,
                                                         const WriterBase& base) {
  auto writer = upload::InPlaceWriter::create(upload_context(), handle, known_size,
                                              [this, weak = std::weak_ptr(inode)] {
                                                if (const InodePtr changed = weak.lock()) {
                                                  forget_attr(changed);
                                                  notifier_.invalidate_inode(changed->id, true);
                                                }
                                              });
  uint32_t unused = 0;
  {
    const MutexLock lock(inode->mutex);
    if (inode->writer) {
      writer = inode->writer;
      unused = handle;
    } else if (inode->version != base.version || inode->kept_handle != base.kept_handle) {
      writer = nullptr;
      unused = handle;
    } else {
      inode->writer = writer;
      inode->writer_handle = handle;
    }
  }
  if (unused == base.kept_handle) {
    unused = 0;  // not opened for this
  }
  close_remote(unused);
  return writer;
}

// What is to be closed where the inode has no writer any more.
uint32_t Vfs::take_writer_handle(Inode& inode) {
  const uint32_t handle = std::exchange(inode.writer_handle, 0);
  return handle != inode.kept_handle ? handle : 0;
}

std::vector<uint32_t> Vfs::replace_handles(Inode& inode, uint32_t handle) {
  std::vector<uint32_t> unused{take_writer_handle(inode), std::exchange(inode.kept_handle, 0)};
  if (inode.open_handles > 0) {
    inode.kept_handle = handle;
  } else {
    unused.push_back(handle);
  }
  return unused;
}

void Vfs::close_remote(uint32_t handle) {
  if (handle == 0) {
    return;
  }
  client::call(agent_, wire::Close{handle}, [](const Result<wire::Empty>& answer) {
    if (!answer) {
      log::debug("close: ", answer.error().to_string());
    }
  });
}

// What is open for writing in place is the old version, which the commit replaces: whoever writes
// after that must not write there.
void Vfs::retire_writer(const InodePtr& inode) {
  std::shared_ptr<upload::InPlaceWriter> writer;
  uint32_t handle = 0;
  {
    const MutexLock lock(inode->mutex);
    writer.swap(inode->writer);
    handle = take_writer_handle(*inode);
  }
  if (writer) {
    writer->drain([this, handle](const Status& status) {
      if (!status) {
        log::error("lost before a truncation: ", status.error().to_string());
      }
      close_remote(handle);
    });
  }
}

// Before a name or the right to open it goes: what is open keeps the file, so it must be open at
// the agent. Of a file that is staged the content is in the staging file, but the old version has
// the extended attributes.
void Vfs::hold_open(const InodePtr& inode) {
  std::vector<std::shared_ptr<OpenFile>> files;
  bool writers = false;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged && inode->staged->is_new) {
      return;
    }
    for (const auto& weak : inode->open_files) {
      if (auto file = weak.lock()) {
        files.push_back(std::move(file));
      }
    }
    writers = inode->open_writers > 0 && !inode->staged;
  }
  for (const auto& file : files) {
    ignore(read_handle(*file), "without a name there is nothing to hold");
  }
  if (writers) {
    ignore(in_place_writer(inode), "without a name there is nothing to hold");
    bool is_late = false;
    {
      const MutexLock lock(inode->mutex);
      is_late = inode->open_writers == 0;
    }
    if (is_late) {  // the last of them has closed meanwhile, and found no writer to end
      end_writing(inode);
    }
  }
}

}  // namespace cpaway::fs
