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

MountStatus sample() {
  MountStatus status;
  status.source = "u@h:d";
  status.mountpoint = "/mnt";
  status.pid = 7;
  status.state = "connected";
  status.transfers = {
      {"run\n\x1b", 1000, 1000, 600, 500, 300, 20, 2048, "writing", "", ""},
      {"empty", 0, 0, 0, 0, 0, 0, 0, "writing", "", ""},
      {"done", 2048, 2048, 2048, 2048, 0, 0, 1024, "committed", std::string(64, 'a'), ""},
      {"bad", 1, 1, 1, 0, 0, 0, 0, "failed", "", "No space left on device"},
  };
  status.earlier = {{"old", 7, 7, 0, 7, 7, 0, 7, "committed", "", ""}};
  return status;
}

TEST(StatusCommand, OneLineForATransferWhereNoTerminalIs) {
  EXPECT_EQ(format_status(sample(), 0),
            "u@h:d on /mnt  pid 7  connected\n"
            "  writing  run??  50% of 1000 bytes, 2.0 KiB/s, 600 bytes sent, 300 bytes matched, "
            "20 bytes resumed\n"
            "  writing  empty  0% of 0 bytes, 0 bytes/s, 0 bytes sent\n"
            "  committed  done  2.0 KiB, 1.0 KiB/s, 2.0 KiB sent  sha256 " +
                std::string(64, 'a') +
                "\n"
                "  failed  bad  1 bytes, 0 bytes/s, 1 bytes sent  No space left on device\n"
                "  committed earlier  old  7 bytes, 7 bytes/s, 0 bytes sent, 7 bytes matched\n");
}

TEST(StatusCommand, ABarFillsTheTerminalsLine) {
  MountStatus status = sample();
  status.transfers.resize(1);
  status.earlier.clear();
  const auto with_bar = [](size_t width) {
    return "u@h:d on /mnt  pid 7  connected\n  writing  run??\n    [" +
           std::string(width / 2, '#') + std::string(width / 2, '.') +
           "]  50% of 1000 bytes, 2.0 KiB/s\n"
           "    600 bytes sent, 300 bytes matched, 20 bytes resumed\n";
  };
  const std::string line = "    []  50% of 1000 bytes, 2.0 KiB/s";
  EXPECT_EQ(format_status(status, line.size() + 40), with_bar(40));
  // A narrow one wraps, a very wide one keeps its end free.
  EXPECT_EQ(format_status(status, 20), with_bar(10));
  EXPECT_EQ(format_status(status, 10'000), with_bar(60));
}

TEST(StatusCommand, OnATerminalTheEndOfATransferHasItsOwnLines) {
  const std::string text = format_status(sample(), 80);
  EXPECT_THAT(text, HasSubstr("  committed  done\n    2.0 KiB, 1.0 KiB/s, 2.0 KiB sent\n    sha256 "
                              "aaaa"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace cpaway::tools
