#include "tools/mountpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace cpaway::tools {
namespace {

using ::testing::HasSubstr;
namespace stdfs = std::filesystem;

TEST(Mountpoint, ResolvesLinksAndSlashes) {
  const cpaway::testing::TempDir top;
  stdfs::create_directory(top.path() + "/real");
  stdfs::create_symlink("real", top.path() + "/link");
  for (const char* name : {"/real", "/real/", "/link", "/./link", "/real/../real/."}) {
    const auto resolved = resolve_mountpoint(top.path() + name);
    ASSERT_TRUE(resolved) << name;
    EXPECT_EQ(*resolved, top.path() + "/real") << name;
  }
  EXPECT_EQ(*resolve_mountpoint("/"), "/");
}

TEST(Mountpoint, MissingOnesAreNamed) {
  const auto resolved = resolve_mountpoint("/nonexistent/x");
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().os_errno, ENOENT);
  EXPECT_THAT(resolved.error().to_string(), HasSubstr("/nonexistent/x"));
  EXPECT_FALSE(resolve_mountpoint(""));
}

TEST(Mountpoint, MustBeAnEmptyDirectory) {
  const cpaway::testing::TempDir top;
  EXPECT_TRUE(prepare_mountpoint(top.path(), false));
  std::ofstream(top.path() + "/file") << "x";
  const auto full = prepare_mountpoint(top.path(), false);
  ASSERT_FALSE(full);
  EXPECT_THAT(full.error().context, HasSubstr("nonempty"));
  EXPECT_TRUE(prepare_mountpoint(top.path(), true));
  const auto file = prepare_mountpoint(top.path() + "/file", true);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().os_errno, ENOTDIR);
}

TEST(Mountpoint, WhatAnswersIsNotDead) {
  const cpaway::testing::TempDir top;
  EXPECT_FALSE(is_dead_mount(top.path(), 5000));
  EXPECT_FALSE(is_dead_mount("/nonexistent", 5000));
}

}  // namespace
}  // namespace cpaway::tools
