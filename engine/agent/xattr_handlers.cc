#include <sys/xattr.h>

#include "engine/agent/handlers.h"
#include "engine/agent/xattr.h"

namespace cpaway::agent {

Result<wire::GetXattr::Answer> on_getxattr(Context& context, const wire::GetXattr& request) {
  CPAWAY_ASSIGN(const Location at, locate_target(context, request.target));
  CPAWAY_ASSIGN(Bytes value, get_xattr(at, request.name));
  return wire::GetXattr::Answer{std::move(value)};
}

Result<wire::ListXattr::Answer> on_listxattr(Context& context, const wire::ListXattr& request) {
  CPAWAY_ASSIGN(const Location at, locate_target(context, request.target));
  CPAWAY_ASSIGN(Bytes names, list_xattrs(at));
  return wire::ListXattr::Answer{std::move(names)};
}

Status on_setxattr(Context& context, const wire::SetXattr& request) {
  static_assert(XATTR_CREATE == 1 && XATTR_REPLACE == 2);
  if ((request.flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) {
    return fail_os(EINVAL, "flags");
  }
  CPAWAY_ASSIGN(const Location at, locate_target(context, request.target));
  return set_xattr(at, request.xattr, static_cast<int>(request.flags));
}

Status on_removexattr(Context& context, const wire::RemoveXattr& request) {
  CPAWAY_ASSIGN(const Location at, locate_target(context, request.target));
  return remove_xattr(at, request.name);
}

}  // namespace cpaway::agent
