#include "fs/posix_acl.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <cstring>
#include <vector>

namespace cpaway::fs {
namespace {

constexpr uint32_t kUserShift = 6;
constexpr uint32_t kGroupShift = 3;

struct Entry {
  uint16_t tag = 0;
  uint16_t permissions = 0;
  uint32_t id = 0;
};

std::optional<std::vector<Entry>> parse(ByteSpan acl) {
  posix_acl_xattr_header header{};
  if (acl.size() < sizeof header ||
      (acl.size() - sizeof header) % sizeof(posix_acl_xattr_entry) != 0) {
    return std::nullopt;
  }
  std::memcpy(&header, acl.data(), sizeof header);
  if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION) {
    return std::nullopt;
  }
  std::vector<Entry> entries;
  for (size_t at = sizeof header; at < acl.size(); at += sizeof(posix_acl_xattr_entry)) {
    posix_acl_xattr_entry raw{};
    std::memcpy(&raw, acl.data() + at, sizeof raw);
    entries.push_back({le16toh(raw.e_tag), le16toh(raw.e_perm), le32toh(raw.e_id)});
  }
  return entries;
}

Bytes pack(const std::vector<Entry>& entries) {
  Bytes out(sizeof(posix_acl_xattr_header) + entries.size() * sizeof(posix_acl_xattr_entry));
  posix_acl_xattr_header header{};
  header.a_version = htole32(POSIX_ACL_XATTR_VERSION);
  std::memcpy(out.data(), &header, sizeof header);
  size_t at = sizeof header;
  for (const Entry& entry : entries) {
    posix_acl_xattr_entry raw{};
    raw.e_tag = htole16(entry.tag);
    raw.e_perm = htole16(entry.permissions);
    raw.e_id = htole32(entry.id);
    std::memcpy(out.data() + at, &raw, sizeof raw);
    at += sizeof raw;
  }
  return out;
}

// The entries that the mode's three parts stand for: the group's bits are the mask's where there
// is one.
struct Parts {
  Entry* user = nullptr;
  Entry* group = nullptr;
  Entry* other = nullptr;

  explicit Parts(std::vector<Entry>& entries) {
    Entry* mask = nullptr;
    for (Entry& entry : entries) {
      switch (entry.tag) {
        case ACL_USER_OBJ:
          user = &entry;
          break;
        case ACL_GROUP_OBJ:
          group = &entry;
          break;
        case ACL_OTHER:
          other = &entry;
          break;
        case ACL_MASK:
          mask = &entry;
          break;
        default:
          break;
      }
    }
    group = mask != nullptr ? mask : group;
  }
  [[nodiscard]] bool complete() const {
    return user != nullptr && group != nullptr && other != nullptr;
  }
  [[nodiscard]] uint32_t mode() const {
    return (uint32_t{user->permissions} << kUserShift) |
           (uint32_t{group->permissions} << kGroupShift) | other->permissions;
  }
  void set(uint32_t mode) const {
    user->permissions = static_cast<uint16_t>((mode >> kUserShift) & 7U);
    group->permissions = static_cast<uint16_t>((mode >> kGroupShift) & 7U);
    other->permissions = static_cast<uint16_t>(mode & 7U);
  }
};

}  // namespace

std::optional<InheritedAcl> inherit_acl(ByteSpan default_acl, uint32_t mode) {
  auto entries = parse(default_acl);
  if (!entries) {
    return std::nullopt;
  }
  const Parts parts(*entries);
  if (!parts.complete()) {
    return std::nullopt;
  }
  const uint32_t left = mode & (parts.mode() | ~0777U);
  parts.set(left);
  const Bytes access = pack(*entries);
  return InheritedAcl{left, is_minimal(access) ? std::nullopt : std::optional(access)};
}

std::optional<uint32_t> permissions_of(ByteSpan access_acl) {
  auto entries = parse(access_acl);
  if (!entries) {
    return std::nullopt;
  }
  const Parts parts(*entries);
  return parts.complete() ? std::optional(parts.mode()) : std::nullopt;
}

bool is_minimal(ByteSpan access_acl) {
  constexpr size_t kOwnerGroupOther = 3;
  const auto entries = parse(access_acl);
  return entries && entries->size() == kOwnerGroupOther && permissions_of(access_acl);
}

Bytes with_permissions(ByteSpan access_acl, uint32_t mode) {
  auto entries = parse(access_acl);
  if (entries) {
    const Parts parts(*entries);
    if (parts.complete()) {
      parts.set(mode);
      return pack(*entries);
    }
  }
  return {access_acl.begin(), access_acl.end()};
}

}  // namespace cpaway::fs
