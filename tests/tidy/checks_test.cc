#include "tests/tidy/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpaway::tidy {
namespace {

using testing::HasSubstr;

// The one finding in a source; "" where there is none.
std::string finding(const std::string& path, const std::string& text) {
  const auto findings = check_source(path, text);
  EXPECT_LE(findings.size(), 1U);
  return findings.empty() ? "" : findings[0].what;
}

std::string including(const std::string& path, const std::string& include) {
  return finding(path, "#include " + include + "\n");
}

std::string header(const std::string& rest) {
  return "// Why.\n#pragma once\n" + rest;
}

TEST(Checks, IncludesFollowTheLayers) {
  EXPECT_EQ(including("engine/hash/a.cc", "\"engine/base/b.h\""), "");
  EXPECT_EQ(including("fs/a.cc", "\"engine/upload/b.h\""), "");
  EXPECT_EQ(including("cache/a.cc", "\"engine/upload/journal.h\""), "");
  EXPECT_EQ(including("tests/a.cc", "\"tools/b.h\""), "");
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"engine/base/a.cc", "engine/hash/b.h"},    {"engine/wire/a.cc", "engine/client/b.h"},
      {"engine/agent/a.cc", "engine/client/b.h"}, {"engine/upload/a.cc", "fs/b.h"},
      {"cache/a.cc", "engine/upload/upload.h"},   {"fs/a.cc", "tools/b.h"},
      {"fs/a.cc", "engine/transport/b.h"},        {"tools/a.cc", "tests/b.h"},
      {"tools/cpaway_agent.cc", "fs/mount.h"},    {"fs/a.cc", "b.h"}};
  for (const auto& [path, include] : wrong) {
    EXPECT_THAT(including(path, std::string("\"") + include + "\""), HasSubstr(include)) << path;
  }
}

TEST(Checks, EveryLibraryHasItsPlace) {
  EXPECT_EQ(including("fs/ops.cc", "<fuse_lowlevel.h>"), "");
  EXPECT_EQ(including("engine/transport/ssh_stream.cc", "<libssh/libssh.h>"), "");
  EXPECT_EQ(including("tests/a.cc", "<nlohmann/json.hpp>"), "");
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"tools/a.cc", "<fuse3/fuse.h>"},
      {"engine/transport/child.cc", "<libssh/libssh.h>"},
      {"cache/index.cc", "<lmdb.h>"},
      {"engine/hash/block.cc", "<openssl/sha.h>"},
      {"fs/a.cc", "<spdlog/spdlog.h>"},
      {"fs/a.cc", "\"engine/base/log_spdlog.h\""},
      {"engine/client/a.cc", "<nlohmann/json.hpp>"},
      {"fs/a.cc", "<CLI/CLI.hpp>"}};
  for (const auto& [path, include] : wrong) {
    EXPECT_THAT(including(path, include), HasSubstr("elsewhere")) << path;
  }
}

TEST(Checks, Sizes) {
  const std::string line(100, 'x');
  EXPECT_EQ(finding("fs/a.cc", line + "\n"), "");
  EXPECT_THAT(finding("fs/a.cc", line + "x\n"), HasSubstr("100 columns"));
  EXPECT_EQ(finding("fs/a.cc", "//" + std::string(49, 'x') + "\xc3\xbc" + std::string(48, 'x')),
            "");
  std::string lines;
  for (int i = 0; i < 800; ++i) {
    lines += "int a;\n";
  }
  EXPECT_EQ(finding("fs/a.cc", lines), "");
  EXPECT_THAT(finding("fs/a.cc", lines + "\n"), HasSubstr("801 lines"));
  const std::string body(68, '\n');
  EXPECT_EQ(finding("fs/a.cc", "void f() {\n" + body + "}\n"), "");
  EXPECT_THAT(finding("fs/a.cc", "void f() {\n\n" + body + "}\n"), HasSubstr("71 lines"));
}

TEST(Checks, Headers) {
  EXPECT_EQ(finding("fs/a.h", header("")), "");
  EXPECT_THAT(finding("fs/a.h", "// Why.\n"), HasSubstr("#pragma once"));
  EXPECT_THAT(finding("fs/a.h", "\n#pragma once\n"), HasSubstr("opening comment"));
  EXPECT_THAT(finding("fs/a.h", header("#include <iostream>\n")), HasSubstr("iostream"));
  EXPECT_THAT(finding("fs/a.h", header("using namespace std;\n")), HasSubstr("using namespace"));
}

TEST(Checks, OwnHeaderComesFirst) {
  EXPECT_EQ(finding("fs/a.cc", "#include \"fs/a.h\"\n#include <map>\n"), "");
  EXPECT_THAT(finding("fs/a.cc", "#include <map>\n#include \"fs/a.h\"\n"), HasSubstr("first"));
}

TEST(Checks, WordsAndNames) {
  EXPECT_THAT(finding("fs/a.cc", "void f() { throw 1; }\n"), HasSubstr("Result"));
  EXPECT_EQ(finding("fs/a.cc", "// they throw things\n"), "");
  EXPECT_THAT(finding("fs/file_util.cc", ""), HasSubstr("util"));
}

TEST(Checks, ScriptsAreExecutable) {
  EXPECT_TRUE(check_script("tools/x", "#!/bin/sh\n", true).empty());
  EXPECT_TRUE(check_script("fs/x.cc", "int a;\n", false).empty());
  EXPECT_EQ(check_script("tools/x", "#!/bin/sh\n", false).size(), 1U);
  EXPECT_EQ(check_script("fs/x.cc", "int a;\n", true).size(), 1U);
}

TEST(Checks, TopLevel) {
  EXPECT_TRUE(check_top_level({"fs", "README.md", ".git", ".clang-format"}).empty());
  EXPECT_EQ(check_top_level({"fs", "notes.txt", "src"}).size(), 2U);
}

}  // namespace
}  // namespace cpaway::tidy
