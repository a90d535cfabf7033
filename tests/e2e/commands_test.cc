// The other commands of the program, against a real mount.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

using ::testing::HasSubstr;

class CommandsTest : public MountedRemote {
 protected:
  static Finished cpaway(std::vector<std::string> words) {
    words.insert(words.begin(), std::string(CPAWAY_BIN) + "/cpaway");
    return run_command(words);
  }
  Finished gc(const std::string& max_age) const {
    return cpaway({"gc", "--state-dir", local("state"), max_age, mountpoint()});
  }
};

TEST_F(CommandsTest, GcRemovesWhatInterruptedUploadsLeft) {
  mount();
  must("mkdir " + on_mount("d"));
  write_remote(".cpaway-0123456789abcdef.part", "12345");
  write_remote("d/.cpaway-fedcba9876543210.part", "123");
  write_remote("d/file", "stays");
  Finished finished = gc("--max-age=7");
  EXPECT_EQ(finished.exit_status, 0) << finished.err;
  EXPECT_EQ(finished.out, "removed 0 staging files, 0 bytes; kept 2\n");
  finished = gc("--max-age=0");
  EXPECT_EQ(finished.exit_status, 0) << finished.err;
  EXPECT_EQ(finished.out, "removed 2 staging files, 8 bytes; kept 0\n");
  EXPECT_TRUE(std::filesystem::exists(on_remote("d/file")));
  unmount();
  finished = gc("--max-age=0");
  EXPECT_EQ(finished.exit_status, 3);
  EXPECT_THAT(finished.err, HasSubstr("no cpaway mount there"));
}

// An upload that runs is none that was interrupted. Only dd has the file open: any close commits.
TEST_F(CommandsTest, GcLeavesWhatIsInUse) {
  mount();
  const std::string source = make_file("source", 8U << 20U);
  const std::string pipe = local("pipe");
  must("mkfifo " + pipe + "; dd bs=1M iflag=fullblock status=none if=" + pipe +
       " of=" + on_mount("f") + " & exec 3>" + pipe + "; head -c 4M " + source +
       " >&3; for i in $(seq 500); do ls -A " + on_remote("") +
       " | grep -q part && break; sleep 0.02; done; " + CPAWAY_BIN +
       "/cpaway gc --max-age=0 --state-dir " + local("state") + " " + mountpoint() + " >" +
       local("said") + "; tail -c 4M " + source + " >&3; exec 3>&-; wait");
  EXPECT_EQ(read_file(local("said")), "removed 0 staging files, 0 bytes; kept 1\n");
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(source));
}

TEST_F(CommandsTest, GcOnAReadOnlyMountIsRefused) {
  write_remote(".cpaway-0123456789abcdef.part", "12345");
  mount("ro");
  const Finished finished = gc("--max-age=0");
  EXPECT_EQ(finished.exit_status, 3);
  EXPECT_THAT(finished.err, HasSubstr("Read-only"));
  EXPECT_EQ(staging_files(), 1);
  std::filesystem::remove(on_remote(".cpaway-0123456789abcdef.part"));
}

TEST_F(CommandsTest, StatusKnowsEarlierMounts) {
  const std::string source = make_file("source", 3U << 20U);
  mount();
  must("cp " + source + " " + on_mount("first"));
  unmount();
  mount();
  must("cp " + source + " " + on_mount("second"));
  const std::string text = cpaway({"status", "--state-dir", local("state"), "--json"}).out;
  EXPECT_THAT(text, HasSubstr("\"earlier\":false"));
  EXPECT_THAT(text, HasSubstr("\"earlier\":true"));
  const std::string lines = cpaway({"status", "--state-dir", local("state"), mountpoint()}).out;
  EXPECT_THAT(lines, HasSubstr("  committed  second  3.0 MiB, "));
  EXPECT_THAT(lines, HasSubstr("  committed earlier  first  3.0 MiB, "));
  EXPECT_THAT(lines, HasSubstr("  sha256 " + sha256_of_file(source) + "\n"));
  EXPECT_EQ(lines.find('\x1b'), std::string::npos);
  // What failed in another mount is no failure now.
  EXPECT_EQ(cpaway({"wait", "--state-dir", local("state"), mountpoint()}).exit_status, 0);
}

TEST_F(CommandsTest, OnlyWhatDiffersIsWrittenInPlace) {
  const std::string source = make_file("source", 8U << 20U);
  mount();
  must("cp " + source + " " + on_mount("f"));
  must("printf edited | dd of=" + source + " bs=1 seek=5000000 conv=notrunc status=none");
  must("touch -d '2001-01-01' " + on_remote("f"));
  must("dd if=" + source + " of=" + on_mount("f") + " bs=1M conv=notrunc status=none");
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(source));
  must("[ $(date +%Y -r " + on_remote("f") + ") -gt 2001 ]");
}

}  // namespace
}  // namespace cpaway::testing
