#include "tools/status_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

using testing::HasSubstr;

TEST(StatusCommand, SizesForPeople) {
  EXPECT_EQ(format_size(0), "0 bytes");
  EXPECT_EQ(format_size(1023), "1023 bytes");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size(UINT64_MAX), "16777216.0 TiB");
}

TEST(StatusCommand, ShowsTheMountAndItsTransfers) {
  MountStatus status;
  status.source = "u@h:d";
  status.mountpoint = "/mnt";
  status.pid = 7;
  status.state = "connected";
  status.transfers = {
      {"run\n\x1b", 1000, 1000, 600, 500, "writing", "", ""},
      {"empty", 0, 0, 0, 0, "writing", "", ""},
      {"done", 2048, 2048, 2048, 2048, "committed", std::string(64, 'a'), ""},
      {"bad", 1, 1, 1, 0, "failed", "", "No space left on device"},
  };
  const std::string plain = format_status(status, false);
  EXPECT_THAT(plain, HasSubstr("u@h:d on /mnt  pid 7  connected\n"));
  EXPECT_THAT(plain, HasSubstr("  writing  run??  50% of 1000 bytes verified\n"));
  EXPECT_THAT(plain, HasSubstr("  writing  empty  0% of 0 bytes verified\n"));
  EXPECT_THAT(plain, HasSubstr("  committed  done  2.0 KiB, 2.0 KiB sent, 2.0 KiB verified  sha256 "
                               "aaaaaaaaaaaaaaaa...\n"));
  EXPECT_THAT(plain, HasSubstr("No space left on device\n"));
  EXPECT_THAT(format_status(status, true), HasSubstr("[############............] 50%"));
}

}  // namespace
}  // namespace cpaway::tools
