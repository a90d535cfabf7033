// The command lines of both programs. CLI11's exceptions end here.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "engine/base/result.h"
#include "tools/gc_command.h"
#include "tools/mount_options.h"
#include "tools/status_command.h"

namespace cpaway::tools {

struct ShowText {
  std::string text;  // of --help and --version, for standard output
};
struct UmountWords {
  std::string mountpoint;
  std::string state_dir;
};
struct WaitWords {
  std::string path;
  std::string state_dir;
};
using Command = std::variant<ShowText, MountWords, UmountWords, StatusWords, WaitWords, GcWords>;

// `cpaway ...`: a command and its words, or SOURCE MOUNTPOINT without one, as mount.fuse3 calls
// it. `words` is without the program's name.
[[nodiscard]] Result<Command> parse_command_line(std::vector<std::string> words);

struct Mount8Words {
  MountWords mount;
  bool only_check = false;  // mount(8)'s -f
};

// `mount.cpaway SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`.
[[nodiscard]] Result<std::variant<ShowText, Mount8Words>> parse_mount8_line(
    std::vector<std::string> words);

}  // namespace cpaway::tools
