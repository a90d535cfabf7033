#include "tools/exit_code.h"

#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

TEST(ExitCode, EveryWayToFailToConnectHasItsOwn) {
  EXPECT_EQ(connect_exit_code(make_error(Errc::unreachable, "")), ExitCode::unreachable);
  EXPECT_EQ(connect_exit_code(make_error(Errc::timeout, "")), ExitCode::unreachable);
  EXPECT_EQ(connect_exit_code(make_error(Errc::host_key, "")), ExitCode::host_key);
  EXPECT_EQ(connect_exit_code(make_error(Errc::auth, "")), ExitCode::auth);
  EXPECT_EQ(connect_exit_code(os_error(ENOENT, "")), ExitCode::remote_directory);
  EXPECT_EQ(connect_exit_code(make_error(Errc::exec, "")), ExitCode::agent);
  EXPECT_EQ(connect_exit_code(make_error(Errc::version, "")), ExitCode::agent);
  EXPECT_EQ(connect_exit_code(make_error(Errc::invalid, "")), ExitCode::usage);
  EXPECT_EQ(connect_exit_code(make_error(Errc::limit, "")), ExitCode::mount_failed);
}

TEST(ExitCode, Mount8KnowsThreeFailures) {
  EXPECT_EQ(mount8_exit_code(0), 0);
  EXPECT_EQ(mount8_exit_code(1), 1);
  EXPECT_EQ(mount8_exit_code(2), 2);
  for (int code = 3; code <= 8; ++code) {
    EXPECT_EQ(mount8_exit_code(code), 32);
  }
  EXPECT_EQ(mount8_exit_code(32), 32);
}

TEST(ExitCode, FailuresAreOneLine) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(report_failure(make_error(Errc::timeout, "a\nb\x1b[2J"), ExitCode::unreachable), 4);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "cpaway: a b [2J: timed out\n");
}

TEST(ExitCode, SentencesStandAlone) {
  EXPECT_EQ(describe(make_error(Errc::auth, "u@h: permission denied")), "u@h: permission denied");
  EXPECT_EQ(describe(make_error(Errc::auth, "")), "authentication failed");
  EXPECT_EQ(describe(make_error(Errc::invalid, "option x needs a value")),
            "option x needs a value");
  EXPECT_EQ(describe(os_error(ENOENT, "mountpoint /x")),
            "mountpoint /x: No such file or directory");
}

}  // namespace
}  // namespace cpaway::tools
