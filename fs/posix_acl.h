// POSIX.1e access control lists as extended attributes carry them: system.posix_acl_access and
// system.posix_acl_default, in the layout of linux/posix_acl_xattr.h. The rules are those of
// acl(5), "Object creation and default ACLs" and "Correspondence between ACL entries and file
// permission bits". An attribute that is no such list is left for the remote kernel to judge.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/base/bytes.h"

namespace cpaway::fs {

inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

// What a file that is created with permission bits `mode` (07777) gets where its directory has this
// default list: what is left of the mode, and the list, nothing where the mode says it all.
struct InheritedAcl {
  uint32_t mode = 0;
  std::optional<Bytes> access;
};
[[nodiscard]] std::optional<InheritedAcl> inherit_acl(ByteSpan default_acl, uint32_t mode);

// The nine permission bits that an access list means.
[[nodiscard]] std::optional<uint32_t> permissions_of(ByteSpan access_acl);
// True for a list that says no more than permission bits do.
[[nodiscard]] bool is_minimal(ByteSpan access_acl);
// The list after chmod(2) of a file that has it.
[[nodiscard]] Bytes with_permissions(ByteSpan access_acl, uint32_t mode);

}  // namespace cpaway::fs
