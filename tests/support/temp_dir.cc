#include "tests/support/temp_dir.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace cpaway::testing {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "cpaway-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror(pattern.c_str());
    CHECK(!"a temporary directory");
  }
  CHECK(chmod(pattern.c_str(), 0755) == 0);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a leftover is seen by whoever looks into the directory
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::file(std::string_view name) const {
  return concat(path_, "/", name);
}

void write_file(const std::string& path, std::string_view content, unsigned mode) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  CHECK(file.good());
  CHECK(chmod(path.c_str(), mode) == 0);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

}  // namespace cpaway::testing
