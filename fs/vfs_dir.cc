// Listing directories.
#include <sys/stat.h>

#include <cerrno>
#include <unordered_set>

#include "engine/base/log.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// A name that the agent gives is shown to programs: it must be one.
bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name != "." && name != "..";
}

}  // namespace

void Vfs::opendir(const Reply& reply, uint64_t id, const fuse_file_info& file) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  const auto path = inodes_.path(*inode);
  if (!path) {  // removed, but still a program's directory: the kernel lists nothing of it
    bool may_read = false;
    {
      const MutexLock lock(inode->mutex);
      may_read = (inode->attr.access & wire::kMayRead) != 0;
    }
    if (!may_read) {
      reply.error(EACCES);
      return;
    }
    fuse_file_info out = file;
    out.fh = dirs_.add(std::make_shared<DirStream>(inode, 0));
    if (!reply.open(out)) {
      static_cast<void>(dirs_.take(out.fh));
    }
    return;
  }
  const uint32_t handle = next_handle();
  client::call(agent_, wire::Open{handle, *path, wire::kOpenRead | wire::kOpenDirectory, 0},
               [this, reply, inode, path = *path, handle, file](const Result<wire::Attr>& attr) {
                 const auto path_now = inodes_.path(*inode);
                 const bool overtaken = path_now && *path_now != path;
                 if (!attr || overtaken) {
                   close_remote(handle);
                   if (overtaken) {
                     opendir(reply, inode->id, file);
                   } else {
                     reply.error(attr.error());
                   }
                   return;
                 }
                 fuse_file_info out = file;
                 out.fh = dirs_.add(std::make_shared<DirStream>(inode, handle));
                 if (!reply.open(out)) {
                   static_cast<void>(dirs_.take(out.fh));
                   close_remote(handle);
                 }
               });
}

void Vfs::readdir(const Reply& reply, uint64_t handle, uint64_t offset, size_t size, bool plus) {
  const auto stream = dirs_.find(handle);
  if (!stream) {
    reply.error(EBADF);
    return;
  }
  const InodePtr parent = inodes_.parent(*stream->inode);
  const uint64_t parent_ino = (parent ? parent : stream->inode)->shown_ino;
  bool ready = false;
  std::set<uint64_t> staged;
  for (const InodePtr& inode : offset == 0 ? all_staged() : std::vector<InodePtr>()) {
    if (inodes_.parent(*inode) == stream->inode) {
      staged.insert(inode->id);
    }
  }
  {
    const MutexLock lock(stream->mutex);
    if (offset == 0) {
      // From the start, or rewinddir: what is there now.
      stream->restart = !stream->entries.empty();
      stream->entries.clear();
      stream->asked_ms.clear();
      stream->complete = false;
      stream->staged = std::move(staged);
      for (const auto& [name, ino] :
           {std::pair(".", stream->inode->shown_ino), std::pair("..", parent_ino)}) {
        wire::DirEntry& entry = stream->entries.emplace_back();
        entry.name = name;
        entry.attr.mode = S_IFDIR;
        entry.attr.ino = ino;
      }
    }
    ready = offset < stream->entries.size() && offset > 0;
    ready = ready || stream->complete;
  }
  if (ready) {
    reply_page(reply, stream, offset, size, plus);
  } else {
    fetch_page(reply, stream, offset, size, plus);
  }
}

void Vfs::fetch_page(const Reply& reply, const std::shared_ptr<DirStream>& stream, uint64_t offset,
                     size_t size, bool plus) {
  bool restart = false;
  {
    const MutexLock lock(stream->mutex);
    restart = std::exchange(stream->restart, false);
  }
  client::call(agent_, wire::ReadDir{stream->remote_handle, restart},
               [this, reply, stream, offset, size, plus,
                asked_ms = system_clock().now_ms()](Result<wire::ReadDir::Answer> answer) {
                 if (!answer) {
                   reply.error(answer.error());
                   return;
                 }
                 bool more = false;
                 {
                   const MutexLock lock(stream->mutex);
                   stream->asked_ms[stream->entries.size()] = asked_ms;
                   add_entries(*stream, std::move(answer->entries));
                   stream->complete = answer->end;
                   if (stream->complete) {
                     add_staged_entries(*stream);
                   }
                   more = !stream->complete && offset >= stream->entries.size();
                 }
                 if (more) {
                   fetch_page(reply, stream, offset, size, plus);
                 } else {
                   reply_page(reply, stream, offset, size, plus);
                 }
               });
}

void Vfs::add_entries(DirStream& stream, std::vector<wire::DirEntry> entries) {
  std::unordered_set<std::string> listed;
  if (stream.is_reopened) {
    for (const wire::DirEntry& entry : stream.entries) {
      listed.insert(entry.name);
    }
  }
  for (wire::DirEntry& entry : entries) {
    if (valid_name(entry.name) && !listed.contains(entry.name) &&
        !pending_unlinks_.contains(*stream.inode, entry.name)) {
      stream.entries.push_back(std::move(entry));
    }
  }
}

// Files that are being created are in no listing of the agent's yet.
void Vfs::add_staged_entries(DirStream& stream) {
  std::unordered_set<std::string> listed;
  for (const auto& [name, inode] : inodes_.children(*stream.inode)) {
    {
      const MutexLock lock(inode->mutex);
      const bool is_staged = inode->staged && inode->staged->is_new && !inode->staged->abandoned;
      if (!is_staged && !stream.staged.contains(inode->id)) {
        continue;
      }
    }
    if (listed.empty()) {
      for (const wire::DirEntry& entry : stream.entries) {
        listed.insert(entry.name);
      }
    }
    if (!listed.contains(name)) {
      wire::DirEntry entry;
      entry.name = name;
      entry.attr.mode = S_IFREG;
      entry.attr.ino = inode->shown_ino;
      stream.entries.push_back(std::move(entry));
    }
  }
}

// The inode of a listed name, with one lookup counted, and what to show of it. Null where the name
// was staged when it was listed and is not any more.
InodePtr Vfs::intern_listed(const DirStream& stream, size_t index, wire::Attr& shown) {
  const wire::DirEntry& entry = stream.entries[index];
  const auto behind = stream.asked_ms.upper_bound(index);
  const int64_t asked_ms = behind == stream.asked_ms.begin() ? 0 : std::prev(behind)->second;
  InodePtr inode = inodes_.find(*stream.inode, entry.name);
  std::optional<wire::Attr> known = inode ? known_attr(inode) : std::nullopt;
  if (known) {
    inodes_.add_lookup(inode);
  } else if (entry.attr.nlink == 0 || system_clock().now_ms() - asked_ms >= kCacheMs) {
    return nullptr;
  } else {
    uint64_t change_count = 0;
    if (inode) {
      const MutexLock lock(inode->mutex);
      if (inode->open_writers > 0 || inode->forgotten_ms >= asked_ms) {
        return nullptr;  // changed since it was listed: the kernel looks it up
      }
      change_count = inode->change_count;
    }
    inode = inodes_.intern(stream.inode, entry.name, entry.attr);
    remember_attr(inode, entry.attr, change_count);
    known = known_attr(inode);
  }
  shown = known ? *known : entry.attr;
  return inode;
}

// With "plus" the kernel learns attributes, and counts a lookup of each name but "." and "..".
void Vfs::fill_page(Page& page, const DirStream& stream, uint64_t offset, bool plus) {
  // libfuse formats entries without a look at the request.
  constexpr fuse_req_t kNoRequest = nullptr;
  for (uint64_t i = offset; i < stream.entries.size(); ++i) {
    const wire::DirEntry& entry = stream.entries[i];
    const std::span<char> room = std::span(page.bytes).subspan(page.used);
    fuse_entry_param param{};
    param.attr.st_mode = entry.attr.mode;
    const char* name = entry.name.c_str();
    const size_t needed = plus ? fuse_add_direntry_plus(kNoRequest, nullptr, 0, name, nullptr, 0)
                               : fuse_add_direntry(kNoRequest, nullptr, 0, name, nullptr, 0);
    if (needed > room.size()) {
      return;
    }
    const auto next = static_cast<off_t>(i + 1);
    wire::Attr shown;
    const InodePtr inode = plus && i >= 2 ? intern_listed(stream, i, shown) : nullptr;
    if (!inode) {
      const bool is_remote = i >= 2 && entry.attr.nlink > 0;
      param.attr.st_ino = is_remote ? inodes_.shown_ino(entry.attr) : entry.attr.ino;
    }
    if (!plus) {
      fuse_add_direntry(kNoRequest, room.data(), room.size(), name, &param.attr, next);
    } else {
      if (inode) {
        param = entry_of(*inode, shown);
        page.counted.push_back(inode->id);
      }
      fuse_add_direntry_plus(kNoRequest, room.data(), room.size(), name, &param, next);
    }
    page.used += needed;
  }
}

void Vfs::reply_page(const Reply& reply, const std::shared_ptr<DirStream>& stream, uint64_t offset,
                     size_t size, bool plus) {
  Page page{std::vector<char>(size), 0, {}};
  {
    const MutexLock lock(stream->mutex);
    fill_page(page, *stream, offset, plus);
  }
  if (!reply.data(as_bytes(std::string_view(page.bytes.data(), page.used)))) {
    for (const uint64_t id : page.counted) {
      inodes_.forget(id, 1);
    }
  }
}

void Vfs::releasedir(const Reply& reply, uint64_t handle) {
  const auto stream = dirs_.take(handle);
  if (!stream) {
    reply.error(EBADF);
    return;
  }
  close_remote(stream->remote_handle);
  reply.ok();
}

void Vfs::fsyncdir(const Reply& reply, uint64_t handle, bool data_only) {
  const auto stream = dirs_.find(handle);
  if (!stream) {
    reply.error(EBADF);
    return;
  }
  pending_unlinks_.flush(*stream->inode);
  client::call(agent_, wire::FSync{wire::Target{stream->remote_handle, {}}, data_only},
               [reply](const Result<wire::Empty>& answer) {
                 if (answer) {
                   reply.ok();
                 } else {
                   reply.error(answer.error());
                 }
               });
}

}  // namespace cpaway::fs
