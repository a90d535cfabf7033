#include "engine/base/log.h"

#include <gtest/gtest.h>

namespace cpaway::testing {
namespace {

std::string g_lines;  // a sink is a plain function

void remember(log::Level level, std::string_view line) {
  g_lines += concat(static_cast<int>(level), ":", line, "\n");
}

TEST(Log, SendsLinesOfTheLevelAndAbove) {
  log::set_sink(remember);
  log::set_level(log::Level::warning);
  log::debug("no");
  log::info("no");
  log::warning("file ", 3);
  log::error("lost");
  log::set_level(log::Level::info);
  log::set_sink([](log::Level, std::string_view) {});
  EXPECT_EQ(g_lines, "2:file 3\n3:lost\n");
}

}  // namespace
}  // namespace cpaway::testing
