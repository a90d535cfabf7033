// The program `mount.cpaway`, which mount(8) runs for the type cpaway, and its exit codes.
#include <cstdio>
#include <exception>

#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/mount_command.h"

namespace cpaway::tools {
namespace {

struct Runner {
  int operator()(const ShowText& show) const {
    static_cast<void>(std::fputs(show.text.c_str(), stdout));
    return to_int(ExitCode::ok);
  }
  int operator()(const Mount8Words& words) const {
    return words.only_check ? check_mount_command(words.mount) : mount_command(words.mount);
  }
};

int run(std::vector<std::string> words) {
  const auto line = parse_mount8_line(std::move(words));
  const int code =
      line ? std::visit(Runner(), *line) : report_failure(line.error(), ExitCode::usage);
  return mount8_exit_code(code);
}

}  // namespace
}  // namespace cpaway::tools

int main(int argc, char** argv) {
  try {
    return cpaway::tools::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    return cpaway::tools::report_failure(cpaway::make_error(cpaway::Errc::invalid, error.what()),
                                         cpaway::tools::ExitCode::system);
  }
}
