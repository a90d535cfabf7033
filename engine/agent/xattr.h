// Extended attributes of files by descriptor or by name, never through a symbolic link.
#pragma once

#include <string>
#include <vector>

#include "engine/agent/file_access.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

[[nodiscard]] Result<Bytes> get_xattr(const Location& at, const std::string& name);
// Names as listxattr(2) gives them, each with its NUL.
[[nodiscard]] Result<Bytes> list_xattrs(const Location& at);
// True where the list is empty; false where it is not, or cannot be had.
[[nodiscard]] bool has_no_xattrs(const Location& at);
[[nodiscard]] Status set_xattr(const Location& at, const wire::Xattr& xattr, int flags);
[[nodiscard]] Status remove_xattr(const Location& at, const std::string& name);

// Removes what a staging file has got from a commit that did not come to its end; what cannot be
// removed (security labels) stays.
[[nodiscard]] Status remove_xattrs(const Location& at);

// Gives `to` what `from` has: ACL, user and security attributes. Those that this user may not set,
// or that speak of the content (capabilities, integrity), are left out. Fails only for want of
// space.
// Those in `without` are left out, too.
[[nodiscard]] Status copy_xattrs(const Location& from, const Location& to,
                                 const std::vector<std::string>& without);

}  // namespace cpaway::agent
