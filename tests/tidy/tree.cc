#include "tests/tidy/tree.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace cpaway::tidy {
namespace {

namespace stdfs = std::filesystem;

constexpr std::array kFolders = {".ci", "cache", "engine", "fs", "man", "tests", "tools"};
constexpr std::array kScripts = {".ci/run", "tools/bench", "tools/quickstart", "tools/test"};

std::string read_file(const stdfs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void check_file(const std::string& top, const stdfs::path& path, std::vector<Finding>& findings) {
  const std::string relative = stdfs::relative(path, top).string();
  const std::string text = read_file(path);
  const auto take = [&findings](std::vector<Finding> more) {
    std::move(more.begin(), more.end(), std::back_inserter(findings));
  };
  if (path.extension() == ".cc" || path.extension() == ".h") {
    take(check_source(relative, text));
  }
  take(check_script(relative, text, access(path.c_str(), X_OK) == 0));
}

}  // namespace

std::vector<Finding> check_tree(const std::string& top) {
  std::vector<std::string> names;
  for (const auto& entry : stdfs::directory_iterator(top)) {
    names.push_back(entry.path().filename().string());
  }
  std::vector<Finding> findings = check_top_level(names);
  for (const char* folder : kFolders) {
    if (!stdfs::exists(stdfs::path(top) / folder)) {
      continue;
    }
    for (const auto& entry : stdfs::recursive_directory_iterator(stdfs::path(top) / folder)) {
      if (entry.is_regular_file()) {
        check_file(top, entry.path(), findings);
      }
    }
  }
  for (const char* script : kScripts) {
    if (!stdfs::exists(stdfs::path(top) / script)) {
      findings.push_back({script, 0, "is missing"});
    }
  }
  return findings;
}

}  // namespace cpaway::tidy
