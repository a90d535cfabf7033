// A directory of its own for one test, removed with all that is in it.
#pragma once

#include <string>
#include <string_view>

namespace cpaway::testing {

class TempDir {
 public:
  // Mode 0755: test users may look into it. Aborts where it cannot be made.
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  // path()/name
  [[nodiscard]] std::string file(std::string_view name) const;

 private:
  std::string path_;
};

// Aborts where the file cannot be written.
void write_file(const std::string& path, std::string_view content, unsigned mode = 0644);
// "" where there is none.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace cpaway::testing
