#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/engine/agent/agent_client.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

class XattrHandlersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::setxattr(dir.path().c_str(), "user.probe", "x", 1, 0) != 0) {
      GTEST_SKIP() << "no user xattrs here";
    }
    ASSERT_EQ(::removexattr(dir.path().c_str(), "user.probe"), 0);
    write_file(dir.file("f"), "x");
    ASSERT_EQ(::symlink("f", dir.file("link").c_str()), 0);
    ASSERT_TRUE(client.hello(dir.path()));
    ASSERT_TRUE(open_file(client, 1, "f", wire::kOpenRead));
  }
  Status set(const wire::Target& target, const std::string& name, Bytes value, uint32_t flags = 0) {
    CPAWAY_TRY(client.call(wire::SetXattr{target, {name, std::move(value)}, flags}));
    return {};
  }

  const TempDir dir;
  AgentClient client;
};

TEST_F(XattrHandlersTest, WorksByPathByHandleAndOnTheRoot) {
  for (const wire::Target& target :
       {wire::Target{0, "f"}, wire::Target{1, ""}, wire::Target{0, ""}}) {
    const Bytes value = random_bytes(1500, 1);  // more than the first buffer
    ASSERT_TRUE(set(target, "user.a", value));
    ASSERT_TRUE(set(target, "user.b", {}));
    EXPECT_EQ(client.call(wire::GetXattr{target, "user.a"})->value, value);
    EXPECT_TRUE(client.call(wire::GetXattr{target, "user.b"})->value.empty());
    const auto names = client.call(wire::ListXattr{target});
    ASSERT_TRUE(names);
    EXPECT_NE(as_text(names->names).find(std::string("user.a\0", 7)), std::string_view::npos);
    EXPECT_EQ(errno_of(set(target, "user.a", {}, XATTR_CREATE)), EEXIST);
    EXPECT_EQ(errno_of(set(target, "user.c", {}, XATTR_REPLACE)), ENODATA);
    EXPECT_TRUE(client.call(wire::RemoveXattr{target, "user.a"}));
    EXPECT_EQ(errno_of(client.call(wire::GetXattr{target, "user.a"})), ENODATA);
  }
}

TEST_F(XattrHandlersTest, TheAttributesSayWhetherThereAreAny) {
  const auto has_none = [this](const wire::Target& target) {
    return (client.call(wire::GetAttr{target}).value().access & wire::kNoXattrs) != 0;
  };
  EXPECT_TRUE(has_none({0, "f"}));
  EXPECT_TRUE(has_none({1, ""}));
  EXPECT_TRUE(has_none({0, "link"}));
  ASSERT_TRUE(set({0, "f"}, "user.a", {}));
  EXPECT_FALSE(has_none({0, "f"}));
  EXPECT_FALSE(has_none({1, ""}));
  EXPECT_TRUE(has_none({0, "link"}));  // what it points to is another matter
}

TEST_F(XattrHandlersTest, NeverReachesThroughALink) {
  ASSERT_TRUE(set({0, "f"}, "user.a", {1}));
  EXPECT_NE(errno_of(client.call(wire::GetXattr{{0, "link"}, "user.a"})), 0);
  EXPECT_EQ(errno_of(set({0, "link"}, "user.b", {1})), EPERM);
}

TEST_F(XattrHandlersTest, RefusesNamesAndFlagsThatCannotBe) {
  EXPECT_EQ(errno_of(set({0, "f"}, "", {})), ERANGE);
  EXPECT_EQ(errno_of(set({0, "f"}, "user." + std::string(300, 'x'), {})), ERANGE);
  EXPECT_EQ(errno_of(set({0, "f"}, std::string("user.a\0b", 8), {})), EINVAL);
  EXPECT_EQ(errno_of(set({0, "f"}, "user.a", {}, 4)), EINVAL);
  EXPECT_EQ(errno_of(set({0, "f"}, "user.a", Bytes(70000))), E2BIG);
  EXPECT_EQ(errno_of(client.call(wire::GetXattr{{0, "missing"}, "user.a"})), ENOENT);
}

}  // namespace
}  // namespace cpaway::testing
