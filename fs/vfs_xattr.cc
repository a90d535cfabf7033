// Extended attributes: the agent's, those of a file that is still staged, and our virtual ones.
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "engine/base/clock.h"
#include "fs/errno_map.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

constexpr std::string_view kVirtualPrefix = "user.cpaway.";
constexpr std::string_view kSha256Name = "user.cpaway.sha256";
constexpr std::string_view kStateName = "user.cpaway.state";
// Asked for at every write by the kernel; files that are being written have none.
constexpr std::string_view kCapability = "security.capability";
constexpr std::string_view kSelinux = "security.selinux";

// What the kernel of the remote host would say of an xattr of a file that is not there yet.
// `wanted` is kMayRead or kMayWrite.
int judge_xattr(std::string_view name, uint8_t access, uint8_t wanted, bool as_root) {
  if (name.starts_with("trusted.") || name.starts_with("security.")) {
    return wanted == wire::kMayWrite && !as_root ? EPERM : 0;
  }
  if (name.starts_with("system.")) {
    return name.starts_with("system.posix_acl_") ? 0 : EOPNOTSUPP;
  }
  if ((access & wanted) == 0) {
    return EACCES;  // before the name is looked at
  }
  return name.starts_with("user.") ? 0 : EOPNOTSUPP;
}

// The old version has it, perhaps, but not the new one.
bool is_dropped(const Staged& staged, std::string_view name) {
  const auto& dropped = staged.placement.dropped;
  return std::find(dropped.begin(), dropped.end(), name) != dropped.end();
}

// A list that says no more than chmod(2) could.
bool is_mode(const wire::Xattr& xattr) {
  return xattr.name == kAccessAcl && is_minimal(xattr.value);
}

bool same_version(const wire::Attr& a, const wire::Attr& b) {
  return a.ino == b.ino && a.dev == b.dev && a.size == b.size && a.mtime == b.mtime;
}

Bytes without_names(const Bytes& list, const std::vector<std::string>& dropped) {
  Bytes left;
  for (auto at = list.begin(); at != list.end();) {
    const auto end = std::find(at, list.end(), 0);
    const std::string name(at, end);
    if (std::find(dropped.begin(), dropped.end(), name) == dropped.end()) {
      left.insert(left.end(), name.begin(), name.end());
      left.push_back(0);
    }
    at = end == list.end() ? end : end + 1;
  }
  return left;
}

// Both lists, each name of them once.
Bytes with_names(Bytes list, const Bytes& more) {
  std::set<std::string_view> listed;
  const Bytes old = list;
  for (const Bytes* names : {&old, &more}) {
    std::string_view left = as_text(*names);
    while (!left.empty()) {
      const std::string_view name = left.substr(0, left.find('\0'));
      left.remove_prefix(std::min(name.size() + 1, left.size()));
      if (listed.insert(name).second && names == &more) {
        list.insert(list.end(), name.begin(), name.end());
        list.push_back(0);
      }
    }
  }
  return list;
}

// What a file that is staged inherits. One that may not be read is staged only if it has no
// attributes.
Error of_old_version(const Error& error) {
  return errno_of(error) == EACCES ? os_error(ENODATA, "of the old version") : error;
}

}  // namespace

// Programs that list a directory ask two of each file (ls: security.selinux or capability, and the
// ACL): the attributes that came with the names say that there are none. Of other names there may
// be some that no list has.
bool Vfs::surely_lacks(const Inode& inode, std::string_view name) {
  if (inode.staged || inode.attr_deadline_ms <= system_clock().now_ms() ||
      (inode.attr.access & wire::kNoXattrs) == 0) {
    return false;
  }
  return name == kCapability || name == kSelinux || name.starts_with("system.posix_acl_");
}

void Vfs::reply_value(const Reply& reply, ByteSpan value, size_t size) {
  if (size == 0) {
    reply.xattr_size(value.size());
  } else if (value.size() > size) {
    reply.error(ERANGE);
  } else {
    reply.data(value);
  }
}

// Of a fifo, say, that was removed while it is open: the agent has no handle of it.
int Vfs::error_without_file(Inode& inode, std::string_view name, uint8_t wanted) const {
  const MutexLock lock(inode.mutex);
  const int error = judge_xattr(name, inode.attr.access, wanted, map_.remote_uid() == 0);
  return error != 0 ? error : ENODATA;
}

// Of the content that is committed: remembered from the commit where the file is still that one,
// else computed by the agent. No content travels.
void Vfs::reply_sha256(const Reply& reply, const InodePtr& inode, size_t size) {
  constexpr size_t kHexSize = 64;
  if (size == 0) {
    reply.xattr_size(kHexSize);
    return;
  }
  with_attr(inode, [this, reply, inode, size](const Result<wire::Attr>& attr) {
    if (!attr) {
      reply.error(attr.error());
      return;
    }
    std::optional<hash::Sha256Value> known;
    {
      const MutexLock lock(inode->mutex);
      if (inode->staged) {
        reply.error(ENODATA);
        return;
      }
      if (inode->sha256 && same_version(inode->sha256_attr, *attr)) {
        known = inode->sha256;
      }
    }
    if (known) {
      reply_value(reply, as_bytes(hash::to_hex(*known)), size);
      return;
    }
    const auto target = target_of(inode);
    if (!target) {
      reply.error(ESTALE);
      return;
    }
    client::call(agent_, wire::Digest{*target},
                 [reply, size](const Result<wire::Digest::Answer>& answer) {
                   if (answer) {
                     reply_value(reply, as_bytes(hash::to_hex(answer->sha256)), size);
                   } else {
                     reply.error(answer.error());
                   }
                 });
  });
}

void Vfs::reply_state(const Reply& reply, const InodePtr& inode, size_t size) {
  std::string_view state = "committed";
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged) {
      state = inode->staged->committing ? "committing" : "writing";
    } else if (inode->writer && inode->writer->busy()) {
      state = "writing";
    }
  }
  reply_value(reply, as_bytes(state), size);
}

void Vfs::getxattr(const Reply& reply, uint64_t id, std::string_view name, size_t size) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  if (name == kSha256Name) {
    reply_sha256(reply, inode, size);
    return;
  }
  if (name == kStateName) {
    reply_state(reply, inode, size);
    return;
  }
  std::optional<Bytes> kept;
  std::optional<uint32_t> mode;  // that the old version's ACL will have
  bool is_staged = false;
  bool none = false;
  int error = 0;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged) {
      is_staged = true;
      error = judge_xattr(name, inode->attr.access, wire::kMayRead, map_.remote_uid() == 0);
      for (const wire::Xattr& xattr : inode->staged->placement.xattrs) {
        if (xattr.name == name) {
          kept = xattr.value;
        }
      }
      none = !kept && (!inode->staged->has_old_version() || is_dropped(*inode->staged, name));
      mode = inode->staged->placement.attr.mode;
    }
    none = none || (!kept && name == kCapability && (inode->staged || inode->writer)) ||
           surely_lacks(*inode, name);
  }
  if (kept || none || error != 0) {
    if (none || error != 0) {
      reply.error(error != 0 ? error : ENODATA);
    } else {
      reply_value(reply, *kept, size);
    }
    return;
  }
  const auto target = target_of(inode);
  if (!target) {
    reply.error(error_without_file(*inode, name, wire::kMayRead));
    return;
  }
  if (name != kAccessAcl) {
    mode.reset();
  }
  client::call(agent_, wire::GetXattr{*target, std::string(name)},
               [reply, size, mode, is_staged](const Result<wire::GetXattr::Answer>& answer) {
                 if (answer && mode) {
                   reply_value(reply, with_permissions(answer->value, *mode), size);
                 } else if (answer) {
                   reply_value(reply, answer->value, size);
                 } else {
                   reply.error(is_staged ? of_old_version(answer.error()) : answer.error());
                 }
               });
}

void Vfs::listxattr(const Reply& reply, uint64_t id, size_t size) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  Bytes names;
  std::vector<std::string> dropped;
  bool is_new = false;
  {
    const MutexLock lock(inode->mutex);
    is_new = surely_lacks(*inode, kCapability);
    if (inode->staged) {
      dropped = inode->staged->placement.dropped;
      is_new = !inode->staged->has_old_version();
      for (const wire::Xattr& xattr : inode->staged->placement.xattrs) {
        names.insert(names.end(), xattr.name.begin(), xattr.name.end());
        names.push_back(0);
      }
    }
  }
  const auto target = is_new ? std::nullopt : target_of(inode);
  if (!target) {
    reply_value(reply, names, size);
    return;
  }
  client::call(agent_, wire::ListXattr{*target},
               [reply, size, names, dropped](const Result<wire::ListXattr::Answer>& answer) {
                 if (answer) {
                   reply_value(reply, with_names(without_names(answer->names, dropped), names),
                               size);
                 } else {
                   reply.error(answer.error());
                 }
               });
}

// An ACL is the mode as well, of which the kernel takes only the ctime for changed.
void Vfs::reply_changed(const Reply& reply, const InodePtr& inode, std::string_view name) {
  if (name == kAccessAcl) {
    notifier_.invalidate_inode(inode->id, false, [reply] { reply.ok(); });
  } else {
    reply.ok();
  }
}

void Vfs::setxattr(const Reply& reply, uint64_t id, std::string_view name, ByteSpan value,
                   int flags) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  if (name.starts_with(kVirtualPrefix)) {
    reply.error(EPERM);
    return;
  }
  wire::Xattr xattr{std::string(name), Bytes(value.begin(), value.end())};
  pending_unlinks_.flush(*inode);
  when_settled(inode, [this, reply, inode, xattr = std::move(xattr), flags](const StagedUse& use) {
    if (use) {
      setxattr_staged(reply, inode, xattr, flags, use);
      return;
    }
    const auto target = target_of(inode);
    if (!target) {
      const int error = error_without_file(*inode, xattr.name, wire::kMayWrite);
      reply.error(error != ENODATA ? error : ESTALE);
      return;
    }
    if (xattr.name == kAccessAcl) {
      hold_for_mode(inode, permissions_of(xattr.value));
    }
    client::call(agent_, wire::SetXattr{*target, xattr, static_cast<uint32_t>(flags)},
                 [this, reply, inode, name = xattr.name](const Result<wire::Empty>& answer) {
                   forget_attr(inode);
                   if (answer) {
                     reply_changed(reply, inode, name);
                   } else {
                     reply.error(answer.error());
                   }
                 });
  });
}

// The version that hands down its attributes counts for the flags, and saves trying what it has.
void Vfs::setxattr_staged(const Reply& reply, const InodePtr& inode, const wire::Xattr& xattr,
                          int flags, const StagedUse& use) {
  bool has_old = false;
  {
    const MutexLock lock(inode->mutex);
    has_old = inode->staged && inode->staged->has_old_version() &&
              !is_dropped(*inode->staged, xattr.name);
  }
  has_old = has_old && (flags != 0 || !is_mode(xattr));  // cp -p sets one of each file
  const auto target = has_old ? target_of(inode) : std::nullopt;
  if (!target) {
    keep_judged(reply, inode, xattr, flags, fail_os(ENODATA, "no old version"), use);
    return;
  }
  client::call(agent_, wire::GetXattr{*target, xattr.name},
               [this, reply, inode, xattr, flags, use](const Result<wire::GetXattr::Answer>& old) {
                 keep_judged(reply, inode, xattr, flags, old, use);
               });
}

// For the commit. The staging file gets it at once, so that its filesystem's errors are told here
// and not at close; a list that is a mode needs no such trial.
void Vfs::keep_judged(const Reply& reply, const InodePtr& inode, const wire::Xattr& xattr,
                      int flags, const Result<wire::GetXattr::Answer>& old, const StagedUse& use) {
  if (const int error = judge_staged(*inode, xattr.name, flags, old.has_value()); error != 0) {
    reply.error(error);
    return;
  }
  const auto upload = staged_upload(inode);
  const bool is_known = old && old->value == xattr.value;
  if (!upload || is_known || is_mode(xattr)) {
    keep_xattr(*inode, xattr);
    reply_changed(reply, inode, xattr.name);
    return;
  }
  wire::Xattr tried_one = xattr;
  if (xattr.name == kAccessAcl) {
    constexpr uint32_t kUnfinished = 0600;  // is nobody else's yet
    tried_one.value = with_permissions(xattr.value, kUnfinished);
  }
  upload->try_xattr(tried_one, [this, reply, inode, xattr, use](const Status& tried) {
    if (tried) {
      keep_xattr(*inode, xattr);
      reply_changed(reply, inode, xattr.name);
    } else {
      reply.error(tried.error());
    }
  });
}

// An errno, or 0.
int Vfs::judge_staged(Inode& inode, const std::string& name, int flags, bool old_has_it) const {
  const MutexLock lock(inode.mutex);
  if (!inode.staged) {
    return ESTALE;  // given up meanwhile
  }
  if (const int error =
          judge_xattr(name, inode.attr.access, wire::kMayWrite, map_.remote_uid() == 0);
      error != 0) {
    return error;
  }
  const auto& xattrs = inode.staged->placement.xattrs;
  const bool is_there =
      old_has_it || std::any_of(xattrs.begin(), xattrs.end(),
                                [&name](const wire::Xattr& one) { return one.name == name; });
  if (is_there && (flags & XATTR_CREATE) != 0) {
    return EEXIST;
  }
  return !is_there && (flags & XATTR_REPLACE) != 0 ? ENODATA : 0;
}

void Vfs::keep_xattr(Inode& inode, const wire::Xattr& xattr) {
  const MutexLock lock(inode.mutex);
  if (!inode.staged) {
    return;
  }
  inode.attr.ctime = remote_clock_.now();
  inode.staged->changed = true;
  wire::Placement& placement = inode.staged->placement;
  std::erase_if(placement.xattrs,
                [&xattr](const wire::Xattr& one) { return one.name == xattr.name; });
  const auto permissions = xattr.name == kAccessAcl ? permissions_of(xattr.value) : std::nullopt;
  if (permissions) {
    inode.attr.mode = (inode.attr.mode & ~0777U) | *permissions;
    inode.attr.access = map_.access_of_own(inode.attr.mode);
    placement.attr.mode = inode.attr.mode & 07777U;
  }
  // One that says no more than the mode is none, unless it takes the old version's away.
  if (!permissions || !is_minimal(xattr.value) || inode.staged->has_old_version()) {
    placement.xattrs.push_back(xattr);
  }
}

void Vfs::removexattr(const Reply& reply, uint64_t id, std::string_view name) {
  const InodePtr inode = find_inode(reply, id);
  if (!inode) {
    return;
  }
  if (name.starts_with(kVirtualPrefix)) {
    reply.error(EPERM);
    return;
  }
  pending_unlinks_.flush(*inode);
  when_settled(inode, [this, reply, inode, name = std::string(name)](const StagedUse& use) {
    if (use) {
      removexattr_staged(reply, inode, name, use);
      return;
    }
    const auto target = target_of(inode);
    if (!target) {
      reply.error(error_without_file(*inode, name, wire::kMayWrite));
      return;
    }
    client::call(agent_, wire::RemoveXattr{*target, name},
                 [this, reply, inode, name](const Result<wire::Empty>& answer) {
                   forget_attr(inode);
                   if (answer) {
                     reply_changed(reply, inode, name);
                   } else {
                     reply.error(answer.error());
                   }
                 });
  });
}

// The old version keeps it, and does not hand it down. The staging file, which may have it from
// when it was set, lets it go.
void Vfs::removexattr_staged(const Reply& reply, const InodePtr& inode, const std::string& name,
                             const StagedUse& use) {
  bool kept = false;
  {
    const MutexLock lock(inode->mutex);
    kept =
        inode->staged &&
        std::any_of(inode->staged->placement.xattrs.begin(), inode->staged->placement.xattrs.end(),
                    [&](const wire::Xattr& one) { return one.name == name && !is_mode(one); });
  }
  const auto upload = kept ? staged_upload(inode) : nullptr;
  if (!upload) {
    removexattr_kept(reply, inode, name, use);
    return;
  }
  upload->untry_xattr(name, [this, reply, inode, name, use](const Status& /*untried*/) {
    removexattr_kept(reply, inode, name, use);  // the commit tells what is wrong
  });
}

void Vfs::removexattr_kept(const Reply& reply, const InodePtr& inode, const std::string& name,
                           const StagedUse& use) {
  bool removed = name == kAccessAcl;  // which every file has, as its mode
  bool asks_old = false;
  int error = 0;
  {
    const MutexLock lock(inode->mutex);
    if (inode->staged) {
      error = judge_xattr(name, inode->attr.access, wire::kMayWrite, map_.remote_uid() == 0);
    }
    if (inode->staged && error == 0) {
      auto& xattrs = inode->staged->placement.xattrs;
      removed |=
          std::erase_if(xattrs, [&](const wire::Xattr& one) { return one.name == name; }) > 0;
      asks_old = inode->staged->has_old_version() && !is_dropped(*inode->staged, name);
      inode->staged->changed = true;
      inode->attr.ctime = removed ? remote_clock_.now() : inode->attr.ctime;
    }
  }
  const auto target = asks_old ? target_of(inode) : std::nullopt;
  if (!target) {
    reply.error(error != 0 || removed ? error : ENODATA);
    return;
  }
  client::call(agent_, wire::GetXattr{*target, name},
               [this, reply, inode, name, removed, use](const Result<wire::GetXattr::Answer>& old) {
                 const int why = old ? 0 : errno_of(of_old_version(old.error()));
                 if (!old && (!removed || (why != ENODATA && why != EOPNOTSUPP))) {
                   reply.error(why);
                   return;
                 }
                 {
                   const MutexLock lock(inode->mutex);
                   if (old && inode->staged) {
                     inode->staged->placement.dropped.push_back(name);
                     inode->attr.ctime = remote_clock_.now();
                   }
                 }
                 reply.ok();
               });
}

}  // namespace cpaway::fs
