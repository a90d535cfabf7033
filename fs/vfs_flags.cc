// Inode flags: ioctl(2) as lsattr(1) and chattr(1) use it.
#include <linux/fs.h>

#include <cerrno>
#include <cstring>

#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

template <class T>
ByteSpan bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

void Vfs::ioctl(const Reply& reply, uint64_t id, uint32_t command, ByteSpan in, size_t out_size) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  uint32_t flags = 0;
  if (command == FS_IOC_GETFLAGS && out_size >= sizeof flags) {
    get_flags(reply, inode, false);
  } else if (command == FS_IOC_FSGETXATTR && out_size >= sizeof(fsxattr)) {
    get_flags(reply, inode, true);
  } else if (command == FS_IOC_SETFLAGS && in.size() >= sizeof flags) {
    std::memcpy(&flags, in.data(), sizeof flags);
    set_flags(reply, inode, flags);
  } else {
    reply.error(ENOTTY);
  }
}

// The kernel asks for the extended form before it sets any, too.
void Vfs::get_flags(const Reply& reply, const InodePtr& inode, bool extended) {
  const auto answer_of = [reply, extended](const wire::GetFlags::Answer& known) {
    if (extended) {
      fsxattr out{};
      out.fsx_xflags = known.xflags;
      out.fsx_extsize = known.extent_size;
      out.fsx_nextents = known.extents;
      out.fsx_projid = known.project;
      out.fsx_cowextsize = known.cow_extent_size;
      reply.ioctl(bytes_of(out));
    } else {
      reply.ioctl(bytes_of(known.flags));
    }
  };
  bool is_new = false;
  {
    const MutexLock lock(inode->mutex);
    is_new = inode->staged && !inode->staged->has_old_version();
  }
  const auto target = is_new ? std::nullopt : target_of(inode);
  if (!target) {
    answer_of({});  // there is nothing that could have any
    return;
  }
  client::call(agent_, wire::GetFlags{*target},
               [reply, answer_of](const Result<wire::GetFlags::Answer>& answer) {
                 if (answer) {
                   answer_of(*answer);
                 } else {
                   reply.error(answer.error());
                 }
               });
}

void Vfs::set_flags(const Reply& reply, const InodePtr& inode, uint32_t flags) {
  pending_unlinks_.flush(*inode);
  when_settled(inode, [this, reply, inode, flags](const StagedUse& /*use*/) {
    bool staged = false;
    {
      const MutexLock lock(inode->mutex);
      staged = inode->staged.has_value();
    }
    const auto target = target_of(inode);
    if (staged || !target) {
      reply.error(EOPNOTSUPP);  // the file that would have them is not there yet, or not any more
      return;
    }
    client::call(agent_, wire::SetFlags{*target, flags},
                 [this, reply, inode](const Result<wire::Empty>& answer) {
                   forget_attr(inode);
                   if (answer) {
                     reply.ioctl({});
                   } else {
                     reply.error(answer.error());
                   }
                 });
  });
}

}  // namespace cpaway::fs
