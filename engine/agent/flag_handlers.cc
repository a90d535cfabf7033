#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "engine/agent/attr.h"
#include "engine/agent/handlers.h"

namespace cpaway::agent {
namespace {

// These ioctls are asked of nothing else: a device may take the number for a command of its own,
// and do something already when it is opened.
Status judge_type(uint32_t mode) {
  return S_ISREG(mode) || S_ISDIR(mode) ? Status{} : Status(fail_os(ENOTTY, "inode flags"));
}

// A descriptor that ioctl(2) takes, which one opened with O_PATH is not.
Result<UniqueFd> open_for_flags(Context& context, const wire::Target& target) {
  CPAWAY_ASSIGN(const Location at, locate_target(context, target));
  CPAWAY_ASSIGN(const wire::Attr attr, read_attr(at));
  CPAWAY_TRY(judge_type(attr.mode));
  if (at.is_descriptor() && !S_ISDIR(attr.mode)) {
    return duplicate_dir(at);
  }
  CPAWAY_ASSIGN(UniqueFd fd, open_at(at, O_RDONLY));
  CPAWAY_ASSIGN(const wire::Attr opened, read_attr(fd.get()));
  CPAWAY_TRY(judge_type(opened.mode));
  return fd;
}

// Where there is no FS_IOC_FSGETXATTR.
uint32_t xflags_of(uint32_t flags) {
  static constexpr std::pair<uint32_t, uint32_t> kSame[] = {
      {FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE}, {FS_APPEND_FL, FS_XFLAG_APPEND},
      {FS_SYNC_FL, FS_XFLAG_SYNC},           {FS_NOATIME_FL, FS_XFLAG_NOATIME},
      {FS_NODUMP_FL, FS_XFLAG_NODUMP},       {FS_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT}};
  uint32_t xflags = 0;
  for (const auto& [flag, xflag] : kSame) {
    xflags |= (flags & flag) != 0 ? xflag : 0;
  }
  return xflags;
}

}  // namespace

Result<wire::GetFlags::Answer> on_getflags(Context& context, const wire::GetFlags& request) {
  CPAWAY_ASSIGN(const UniqueFd fd, open_for_flags(context, request.target));
  int flags = 0;
  if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) {
    return fail_os(errno, "FS_IOC_GETFLAGS");
  }
  wire::GetFlags::Answer answer;
  answer.flags = static_cast<uint32_t>(flags);
  fsxattr rest{};
  if (::ioctl(fd.get(), FS_IOC_FSGETXATTR, &rest) != 0) {
    answer.xflags = xflags_of(answer.flags);
    return answer;
  }
  answer.xflags = rest.fsx_xflags;
  answer.extent_size = rest.fsx_extsize;
  answer.extents = rest.fsx_nextents;
  answer.project = rest.fsx_projid;
  answer.cow_extent_size = rest.fsx_cowextsize;
  return answer;
}

Status on_setflags(Context& context, const wire::SetFlags& request) {
  CPAWAY_ASSIGN(const UniqueFd fd, open_for_flags(context, request.target));
  const auto flags = static_cast<int>(request.flags);
  if (::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) != 0) {
    return fail_os(errno, "FS_IOC_SETFLAGS");
  }
  return {};
}

}  // namespace cpaway::agent
