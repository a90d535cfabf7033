#include "engine/wire/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace cpaway::testing {
namespace {

using namespace wire;

TEST(WireStatus, KeepsEveryCode) {
  int count = 0;
  for (uint16_t code = 1; errc_name(static_cast<Errc>(code)) != "unknown error"; ++code, ++count) {
    EXPECT_EQ(status_to_wire(static_cast<Errc>(code)), code);
    EXPECT_EQ(error_from_wire(code, ENOENT, "x").code, static_cast<Errc>(code));
  }
  EXPECT_EQ(count, static_cast<int>(Errc::unsupported));
}

TEST(WireStatus, KeepsErrno) {
  for (const int os_errno : {EPERM, ENOENT, EDQUOT, EHWPOISON}) {
    const Error error = error_from_wire(1, errno_to_wire(os_errno), "x");
    EXPECT_EQ(error.code, Errc::os);
    EXPECT_EQ(error.os_errno, os_errno);
  }
}

TEST(WireStatus, UnknownNumbersBecomeEio) {
  for (const uint32_t wire_errno : {0U, 134U, 0xffffffffU}) {
    EXPECT_EQ(error_from_wire(1, wire_errno, "").os_errno, EIO);
  }
  const Error error = error_from_wire(999, 0, "context");
  EXPECT_EQ(error.code, Errc::os);
  EXPECT_EQ(error.os_errno, EIO);
  EXPECT_EQ(error.context, "context");
  EXPECT_EQ(error_from_wire(4, 77, "").os_errno, 0);  // only status 1 has an errno
}

}  // namespace
}  // namespace cpaway::testing
