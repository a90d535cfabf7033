#include "fs/errno_map.h"

#include <cerrno>

#include "engine/base/log.h"

namespace cpaway::fs {

int errno_of(const Error& error) {
  switch (error.code) {
    case Errc::os:
      if (error.os_errno > 0) {
        return error.os_errno;
      }
      break;
    case Errc::invalid:
      return EINVAL;
    case Errc::timeout:
      return ETIMEDOUT;
    case Errc::cancelled:
      return ECANCELED;
    case Errc::conflict:
      return EBUSY;
    case Errc::limit:
      return EMFILE;
    case Errc::unsupported:
      return EOPNOTSUPP;
    case Errc::verify:
    case Errc::connection_lost:
    case Errc::unreachable:
    case Errc::protocol:
    case Errc::version:
    case Errc::host_key:
    case Errc::auth:
    case Errc::exec:
      break;
  }
  log::warning("input/output error for a program: ", error.to_string());
  return EIO;
}

}  // namespace cpaway::fs
