#include "tools/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Words>
Words parse(const std::vector<std::string>& words) {
  auto command = parse_command_line(words);
  EXPECT_TRUE(command) << (command ? "" : command.error().context);
  if (!command || !std::holds_alternative<Words>(*command)) {
    ADD_FAILURE() << "another command";
    return {};
  }
  return std::get<Words>(*command);
}

TEST(CommandLine, Mount) {
  const auto words = parse<MountWords>({"mount", "u@h:d", "/mnt", "-o", "ro,port=1", "-F", "cfg",
                                        "-p", "22", "-f", "-oallow_other"});
  EXPECT_EQ(words.source, "u@h:d");
  EXPECT_EQ(words.mountpoint, "/mnt");
  EXPECT_THAT(words.option_lists, ElementsAre("ro,port=1", "allow_other"));
  EXPECT_EQ(words.config_file, "cfg");
  EXPECT_EQ(words.port, "22");
  EXPECT_TRUE(words.foreground);
}

TEST(CommandLine, MountOptionsBeforeTheSource) {
  const auto words = parse<MountWords>({"mount", "-o", "ro", "[::1]:d", "/mnt"});
  EXPECT_EQ(words.source, "[::1]:d");
  EXPECT_EQ(words.mountpoint, "/mnt");
}

// mount.fuse3 runs "cpaway SOURCE MOUNTPOINT -o OPTIONS".
TEST(CommandLine, MountWithoutACommand) {
  EXPECT_EQ(parse<MountWords>({"h:d", "/mnt", "-o", "rw,dev,suid"}).source, "h:d");
  EXPECT_EQ(parse<MountWords>({"-o", "ro", "h:d", "/mnt"}).mountpoint, "/mnt");
}

TEST(CommandLine, OtherCommands) {
  EXPECT_EQ(parse<UmountWords>({"umount", "/mnt"}).mountpoint, "/mnt");
  EXPECT_EQ(parse<UmountWords>({"unmount", "/mnt", "--state-dir", "/s"}).state_dir, "/s");
  EXPECT_TRUE(parse<StatusWords>({"status", "--json"}).json);
  EXPECT_EQ(parse<StatusWords>({"status", "/mnt"}).mountpoint, "/mnt");
  EXPECT_EQ(parse<WaitWords>({"wait", "/mnt/f"}).path, "/mnt/f");
  EXPECT_EQ(parse<GcWords>({"gc", "/mnt"}).max_age_days, 7U);
  EXPECT_EQ(parse<GcWords>({"gc", "--max-age=0", "/mnt"}).max_age_days, 0U);
}

TEST(CommandLine, HelpAndVersion) {
  EXPECT_THAT(parse<ShowText>({"--help"}).text, HasSubstr("cpaway mount"));
  EXPECT_THAT(parse<ShowText>({"--version"}).text, HasSubstr(CPAWAY_VERSION));
  EXPECT_THAT(parse<ShowText>({"status", "--help"}).text, HasSubstr("--json"));
}

TEST(CommandLine, WrongOnesAreErrors) {
  const std::vector<std::vector<std::string>> lines = {{},
                                                       {"mount"},
                                                       {"mount", "h:d"},
                                                       {"mount", "h:d", "/mnt", "more"},
                                                       {"frobn"},
                                                       {"status", "-x"},
                                                       {"umount"},
                                                       {"wait"},
                                                       {"gc"},
                                                       {"gc", "/mnt", "--max-age=-1"},
                                                       {"gc", "/mnt", "--max-age=x"},
                                                       {"gc", "/mnt", "--max-age=36501"},
                                                       {"--frob"},
                                                       {"mount", "h:", "/m", "-o"},
                                                       {"mount", "h:", "/m", "--bogus"}};
  for (const auto& line : lines) {
    const auto command = parse_command_line(line);
    ASSERT_FALSE(command) << testing::PrintToString(line);
    EXPECT_EQ(command.error().code, Errc::invalid);
    EXPECT_EQ(command.error().context.find('\n'), std::string::npos);
  }
}

TEST(CommandLine, Mount8) {
  auto line =
      parse_mount8_line({"h:d", "/mnt", "-s", "-f", "-n", "-v", "-t", "cpaway", "-o", "rw"});
  ASSERT_TRUE(line);
  const auto& words = std::get<Mount8Words>(*line);
  EXPECT_EQ(words.mount.source, "h:d");
  EXPECT_TRUE(words.mount.sloppy);
  EXPECT_TRUE(words.only_check);
  EXPECT_THAT(words.mount.option_lists, ElementsAre("rw"));
  EXPECT_TRUE(parse_mount8_line({"h:d", "/mnt", "-sfnv", "-o", "rw"}));
  EXPECT_FALSE(parse_mount8_line({"h:d", "/mnt", "-N", "ns"}));
  EXPECT_FALSE(parse_mount8_line({"h:d"}));
}

}  // namespace
}  // namespace cpaway::tools
