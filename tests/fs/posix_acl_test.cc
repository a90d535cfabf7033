#include "fs/posix_acl.h"

#include <gtest/gtest.h>

namespace cpaway::fs {
namespace {

struct Entry {
  uint8_t tag;
  uint8_t permissions;
  uint8_t id;
};
constexpr uint8_t kUserObj = 0x01;
constexpr uint8_t kUser = 0x02;
constexpr uint8_t kGroupObj = 0x04;
constexpr uint8_t kMask = 0x10;
constexpr uint8_t kOther = 0x20;

Bytes acl_of(const std::vector<Entry>& entries) {
  Bytes out = {2, 0, 0, 0};
  for (const Entry& entry : entries) {
    out.insert(out.end(), {entry.tag, 0, entry.permissions, 0, entry.id, 0, 0, 0});
  }
  return out;
}

// What setfacl -d -m u:7:rwx,g::rwx,o::- makes.
const Bytes kExtended =
    acl_of({{kUserObj, 7, 0}, {kUser, 7, 7}, {kGroupObj, 7, 0}, {kMask, 7, 0}, {kOther, 0, 0}});

TEST(PosixAcl, NewFilesInheritWhatTheirModeAllows) {
  const auto inherited = inherit_acl(kExtended, 0666);
  ASSERT_TRUE(inherited);
  EXPECT_EQ(inherited->mode, 0660U);
  EXPECT_EQ(
      inherited->access,
      acl_of({{kUserObj, 6, 0}, {kUser, 7, 7}, {kGroupObj, 7, 0}, {kMask, 6, 0}, {kOther, 0, 0}}));
  EXPECT_EQ(inherit_acl(kExtended, 04604)->mode, 04600U);
}

TEST(PosixAcl, MinimalListsAreModes) {
  const Bytes minimal = acl_of({{kUserObj, 6, 0}, {kGroupObj, 4, 0}, {kOther, 0, 0}});
  EXPECT_TRUE(is_minimal(minimal));
  EXPECT_FALSE(is_minimal(kExtended));
  EXPECT_EQ(permissions_of(minimal), 0640U);
  EXPECT_EQ(permissions_of(kExtended), 0770U);
  EXPECT_EQ(inherit_acl(minimal, 0777)->mode, 0640U);
  EXPECT_FALSE(inherit_acl(minimal, 0777)->access);
}

TEST(PosixAcl, ChmodSetsTheMask) {
  EXPECT_EQ(
      with_permissions(kExtended, 0754),
      acl_of({{kUserObj, 7, 0}, {kUser, 7, 7}, {kGroupObj, 7, 0}, {kMask, 5, 0}, {kOther, 4, 0}}));
}

TEST(PosixAcl, OtherBytesAreNoList) {
  Bytes cut = kExtended;
  cut.pop_back();
  Bytes version = kExtended;
  version[0] = 3;
  for (const Bytes& bytes : {Bytes{}, cut, version, Bytes{2, 0, 0, 0}}) {
    EXPECT_FALSE(inherit_acl(bytes, 0777));
    EXPECT_FALSE(permissions_of(bytes));
    EXPECT_FALSE(is_minimal(bytes));
    EXPECT_EQ(with_permissions(bytes, 0), bytes);
  }
}

}  // namespace
}  // namespace cpaway::fs
