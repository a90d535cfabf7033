#include "tools/option_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

std::vector<OptionItem> split(std::string_view text) {
  auto items = split_options(text);
  EXPECT_TRUE(items);
  return items.value_or(std::vector<OptionItem>());
}

TEST(OptionList, CutsAtCommas) {
  EXPECT_EQ(split("ro,port=22,x-systemd.automount"),
            (std::vector<OptionItem>{
                {"ro", std::nullopt}, {"port", "22"}, {"x-systemd.automount", std::nullopt}}));
}

TEST(OptionList, KeepsEscapedCommasAndBackslashes) {
  EXPECT_EQ(split(R"(agent=a\,b\\c,ro)"),
            (std::vector<OptionItem>{{"agent", R"(a,b\c)"}, {"ro", std::nullopt}}));
  EXPECT_EQ(split(R"(a=\x\)"), (std::vector<OptionItem>{{"a", R"(\x\)"}}));
}

TEST(OptionList, ValuesMayHoldEqualsAndBeEmpty) {
  EXPECT_EQ(split("a=b=c,d="), (std::vector<OptionItem>{{"a", "b=c"}, {"d", ""}}));
}

TEST(OptionList, SkipsEmptyItems) {
  EXPECT_EQ(split(",,ro,"), (std::vector<OptionItem>{{"ro", std::nullopt}}));
  EXPECT_TRUE(split("").empty());
}

TEST(OptionList, RefusesValuesWithoutAName) {
  const auto items = split_options("ro,=x");
  ASSERT_FALSE(items);
  EXPECT_EQ(items.error().code, Errc::invalid);
  EXPECT_THAT(items.error().context, testing::HasSubstr("=x"));
}

}  // namespace
}  // namespace cpaway::tools
