// The program `cpaway`: hands each command to its file.
#include <cstdio>
#include <exception>

#include "tools/command_line.h"
#include "tools/exit_code.h"
#include "tools/gc_command.h"
#include "tools/mount_command.h"
#include "tools/status_command.h"
#include "tools/umount_command.h"
#include "tools/wait_command.h"

namespace cpaway::tools {
namespace {

struct Runner {
  int operator()(const ShowText& show) const {
    static_cast<void>(std::fputs(show.text.c_str(), stdout));
    return to_int(ExitCode::ok);
  }
  int operator()(const MountWords& words) const { return mount_command(words); }
  int operator()(const UmountWords& words) const {
    return umount_command(words.mountpoint, words.state_dir);
  }
  int operator()(const StatusWords& words) const { return status_command(words); }
  int operator()(const GcWords& words) const { return gc_command(words); }
  int operator()(const WaitWords& words) const { return wait_command(words.path, words.state_dir); }
};

int run(std::vector<std::string> words) {
  const auto command = parse_command_line(std::move(words));
  return command ? std::visit(Runner(), *command)
                 : report_failure(command.error(), ExitCode::usage);
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
