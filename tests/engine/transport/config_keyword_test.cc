#include "engine/transport/config_keyword.h"

#include <gtest/gtest.h>

namespace cpaway::transport {
namespace {

constexpr std::string_view kConfig =
    "# StrictHostKeyChecking off\n"
    "Host a b*  !bad\n"
    "\tStrictHostKeyChecking = \"accept-new\"\r\n"
    "Match host c\n"
    "  StrictHostKeyChecking no\n"
    "Host *.example.org\n"
    "  stricthostkeychecking ask\n"
    "Host *\n"
    "  StrictHostKeyChecking yes\n";

TEST(ConfigKeyword, FollowsHostBlocks) {
  EXPECT_EQ(config_keyword(kConfig, "a", "StrictHostKeyChecking"), "accept-new");
  EXPECT_EQ(config_keyword(kConfig, "bx", "StrictHostKeyChecking"), "accept-new");
  EXPECT_EQ(config_keyword(kConfig, "bad", "StrictHostKeyChecking"), "yes");
  EXPECT_EQ(config_keyword(kConfig, "c", "StrictHostKeyChecking"), "yes");
  EXPECT_EQ(config_keyword(kConfig, "x.example.org", "StrictHostKeyChecking"), "ask");
}

TEST(ConfigKeyword, KnowsNothingOfWhatIsNotThere) {
  EXPECT_EQ(config_keyword(kConfig, "a", "Port"), std::nullopt);
  EXPECT_EQ(config_keyword("", "a", "Port"), std::nullopt);
  EXPECT_EQ(config_keyword("Port", "a", "Port"), "");
  EXPECT_EQ(config_keyword("Port 7\nPort 8", "a", "Port"), "7");
}

}  // namespace
}  // namespace cpaway::transport
