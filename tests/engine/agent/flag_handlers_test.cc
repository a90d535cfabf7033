#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "engine/base/fd.h"
#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

int flags_of(const std::string& path) {
  int flags = 0;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return ::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0 ? flags : -1;
}

void set_flags(const std::string& path, int flags) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), 0) << path;
}

class FlagHandlersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_file(dir.file("f"), "content");
    if (flags_of(dir.file("f")) < 0) {
      GTEST_SKIP() << "no inode flags here";
    }
    ASSERT_TRUE(client.hello(dir.path()));
    ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead));
  }
  uint8_t access_of(const std::string& name) {
    return client.call(wire::GetAttr{{0, name}}).value().access;
  }

  const TempDir dir;
  AgentClient client;
};

TEST_F(FlagHandlersTest, WorksByPathByHandleAndOnTheRoot) {
  for (const wire::Target& target :
       {wire::Target{0, "f"}, wire::Target{1, ""}, wire::Target{0, ""}}) {
    const std::string path = target.handle == 0 && target.path.empty() ? dir.path() : dir.file("f");
    const auto before = static_cast<uint32_t>(flags_of(path));
    EXPECT_EQ(client.call(wire::GetFlags{target})->flags, before);
    EXPECT_TRUE(client.call(wire::SetFlags{target, before | FS_NODUMP_FL}));
    EXPECT_EQ(flags_of(path), static_cast<int>(before | FS_NODUMP_FL));
    EXPECT_TRUE(client.call(wire::SetFlags{target, before}));
  }
}

TEST_F(FlagHandlersTest, OnlyFilesAndDirectoriesHaveThem) {
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0600), 0);
  EXPECT_EQ(errno_of(client.call(wire::GetFlags{{0, "fifo"}})), ENOTTY);
  EXPECT_EQ(errno_of(client.call(wire::SetFlags{{0, "fifo"}, 0})), ENOTTY);
  EXPECT_EQ(errno_of(client.call(wire::GetFlags{{0, "missing"}})), ENOENT);
}

TEST_F(FlagHandlersTest, AttributesSayWhatIsForbiddenEverybody) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const int plain = flags_of(dir.file("f"));
  EXPECT_EQ(access_of("f") & (wire::kImmutable | wire::kAppendOnly), 0);
  set_flags(dir.file("f"), plain | FS_IMMUTABLE_FL);
  EXPECT_EQ(access_of("f") & (wire::kImmutable | wire::kAppendOnly | wire::kMayWrite),
            wire::kImmutable);
  set_flags(dir.file("f"), plain | FS_APPEND_FL);
  EXPECT_EQ(access_of("f") & (wire::kImmutable | wire::kAppendOnly), wire::kAppendOnly);
  // It can be written to all the same, in the one way that is left; also by a second handle.
  EXPECT_EQ(errno_of(open_file(client, 2, "f", wire::kOpenWrite | wire::kOpenTruncate)), EPERM);
  EXPECT_TRUE(open_file(client, 3, "f", wire::kOpenWrite));
  EXPECT_TRUE(client.call(wire::Open{4, "", wire::kOpenWrite, 0, 3}));
  const Bytes text = {'m', 'o', 'r', 'e'};
  for (const uint32_t handle : {3, 4}) {
    EXPECT_TRUE(client.call(wire::Append{handle, 0, hash::block_hash(text), false}, shared(text)));
  }
  set_flags(dir.file("f"), plain);
  EXPECT_EQ(read_file(dir.file("f")), "contentmoremore");
}

}  // namespace
}  // namespace cpaway::testing
