#include "engine/agent/xattr.h"

#include <sys/xattr.h>

#include <linux/limits.h>
#include <array>
#include <cerrno>

namespace cpaway::agent {
namespace {

constexpr size_t kFirstTry = 1024;

// The kernel judges all but this: a C string would end at the NUL.
Status judge_name(const std::string& name) {
  if (name.empty() || name.size() > XATTR_NAME_MAX) {
    return fail_os(ERANGE, "xattr name");
  }
  if (name.find('\0') != std::string::npos) {
    return fail_os(EINVAL, "xattr name");
  }
  return {};
}

// Runs by_fd on a descriptor, by_path on what is no open file: a name, which by_path does not
// follow (`follow` false), or a directory opened with O_PATH (`follow` true).
template <class ByFd, class ByPath>
ssize_t call(const Location& at, ByFd by_fd, ByPath by_path) {
  if (at.is_descriptor()) {
    const ssize_t result = by_fd(at.dir);
    if (result >= 0 || errno != EBADF) {
      return result;
    }
  }
  return by_path(at.proc_path().c_str(), at.is_descriptor());
}

// Calls fetch(buffer) with a buffer that the answer fits in.
template <class Fetch>
Result<Bytes> fetch_all(size_t limit, const std::string& what, Fetch fetch) {
  Bytes buffer(kFirstTry);
  ssize_t size = fetch(buffer);
  if (size < 0 && errno == ERANGE) {
    buffer.resize(limit);
    size = fetch(buffer);
  }
  if (size < 0) {
    return fail_os(errno, what);
  }
  buffer.resize(static_cast<size_t>(size));
  return buffer;
}

bool speaks_of_content(std::string_view name) {
  static constexpr std::array<std::string_view, 3> kNames = {"security.capability", "security.ima",
                                                             "security.evm"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool is_want_of_space(int error) {
  return error == ENOSPC || error == EDQUOT;
}

}  // namespace

Result<Bytes> get_xattr(const Location& at, const std::string& name) {
  CPAWAY_TRY(judge_name(name));
  return fetch_all(XATTR_SIZE_MAX, name, [&](Bytes& into) {
    return call(
        at, [&](int fd) { return ::fgetxattr(fd, name.c_str(), into.data(), into.size()); },
        [&](const char* path, bool follow) {
          const auto get = follow ? ::getxattr : ::lgetxattr;
          return get(path, name.c_str(), into.data(), into.size());
        });
  });
}

Result<Bytes> list_xattrs(const Location& at) {
  return fetch_all(XATTR_LIST_MAX, "listxattr", [&](Bytes& into) {
    auto* names = reinterpret_cast<char*>(into.data());
    return call(
        at, [&](int fd) { return ::flistxattr(fd, names, into.size()); },
        [&](const char* path, bool follow) {
          const auto list = follow ? ::listxattr : ::llistxattr;
          return list(path, names, into.size());
        });
  });
}

bool has_no_xattrs(const Location& at) {
  return call(
             at, [](int fd) { return ::flistxattr(fd, nullptr, 0); },
             [](const char* path, bool follow) {
               return (follow ? ::listxattr : ::llistxattr)(path, nullptr, 0);
             }) == 0;
}

Status set_xattr(const Location& at, const wire::Xattr& xattr, int flags) {
  CPAWAY_TRY(judge_name(xattr.name));
  const char* name = xattr.name.c_str();
  const Bytes& value = xattr.value;
  const ssize_t result = call(
      at,
      [&](int fd) -> ssize_t { return ::fsetxattr(fd, name, value.data(), value.size(), flags); },
      [&](const char* path, bool follow) -> ssize_t {
        const auto set = follow ? ::setxattr : ::lsetxattr;
        return set(path, name, value.data(), value.size(), flags);
      });
  return result < 0 ? Status(fail_os(errno, xattr.name)) : Status{};
}

Status remove_xattr(const Location& at, const std::string& name) {
  CPAWAY_TRY(judge_name(name));
  const ssize_t result = call(
      at, [&](int fd) -> ssize_t { return ::fremovexattr(fd, name.c_str()); },
      [&](const char* path, bool follow) -> ssize_t {
        return follow ? ::removexattr(path, name.c_str()) : ::lremovexattr(path, name.c_str());
      });
  return result < 0 ? Status(fail_os(errno, name)) : Status{};
}

Status remove_xattrs(const Location& at) {
  const auto names = list_xattrs(at);
  std::string_view left = names ? as_text(*names) : std::string_view{};
  while (!left.empty()) {
    const std::string name(left.substr(0, left.find('\0')));
    left.remove_prefix(std::min(name.size() + 1, left.size()));
    Status removed = remove_xattr(at, name);
    const bool is_a_users = name.starts_with("user.") || name.starts_with("trusted.");
    if (!removed && is_a_users) {  // labels stay, and ACLs of filesystems that have no others
      return removed;
    }
  }
  return {};
}

Status copy_xattrs(const Location& from, const Location& to,
                   const std::vector<std::string>& without) {
  const auto names = list_xattrs(from);
  if (!names) {
    return {};  // a filesystem that keeps none, or no /proc
  }
  std::string_view left = as_text(*names);
  while (!left.empty()) {
    const std::string name(left.substr(0, left.find('\0')));
    left.remove_prefix(std::min(name.size() + 1, left.size()));
    if (speaks_of_content(name) ||
        std::find(without.begin(), without.end(), name) != without.end()) {
      continue;
    }
    auto value = get_xattr(from, name);
    if (!value) {
      continue;
    }
    Status set = set_xattr(to, {name, std::move(*value)}, 0);
    if (!set && is_want_of_space(set.error().os_errno)) {
      return set;
    }
  }
  return {};
}

}  // namespace cpaway::agent
