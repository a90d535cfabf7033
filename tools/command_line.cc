#include "tools/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <optional>

#include "engine/base/strings.h"

namespace cpaway::tools {
namespace {

constexpr const char* kHelp =
    "cpaway mounts a directory of a remote host over SSH. What cp writes there is verified by\n"
    "SHA-256 on the remote host and replaces the old file in one step, before cp returns.\n"
    "\n"
    "  cpaway mount [USER@]HOST:[DIR] MOUNTPOINT [-o OPT,...] [-F SSH_CONFIG] [-p PORT] [-f]\n"
    "  cpaway umount MOUNTPOINT\n"
    "  cpaway status [--json] [MOUNTPOINT]\n"
    "  cpaway wait PATH\n"
    "  cpaway gc [--max-age=DAYS] MOUNTPOINT\n"
    "  cpaway --version | --help\n"
    "\n"
    "Options and exit codes: man cpaway.\n";
constexpr const char* kVersion = "cpaway " CPAWAY_VERSION "\n";
constexpr uint64_t kMaxAgeLimitDays = 36'500;
constexpr const char* kStateDirHelp = "the mount's option state_dir, where it has one";

void add_mount_words(CLI::App& app, MountWords& into) {
  app.add_option("SOURCE", into.source, "[USER@]HOST:[DIR]")->required();
  app.add_option("MOUNTPOINT", into.mountpoint, "an empty directory")->required();
  app.add_option("-o", into.option_lists, "options, with commas between them")
      ->allow_extra_args(false)
      ->take_all();
}

// Nothing where all went well, else help to show.
Result<std::optional<ShowText>> parse(CLI::App& app, std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(std::move(words));
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    return ShowText{app.help()};
  } catch (const CLI::Error& error) {
    return fail(Errc::invalid, concat(app.get_name(), ": ", error.what()));
  }
}

// The words that `add` declares on a parser of this name.
template <class Words, class Add>
Result<Command> parse_into(const std::string& name, std::vector<std::string> words, Add add) {
  Words into;
  CLI::App app("", name);
  add(app, into);
  CPAWAY_ASSIGN(auto help, parse(app, std::move(words)));
  return help ? Command(std::move(*help)) : Command(std::move(into));
}

Result<Command> parse_mount(std::vector<std::string> words) {
  return parse_into<MountWords>("cpaway mount", std::move(words),
                                [](CLI::App& app, MountWords& into) {
                                  add_mount_words(app, into);
                                  app.add_option("-F", into.config_file, "ssh_config to use");
                                  app.add_option("-p", into.port, "port of the SSH server");
                                  app.add_flag("-f", into.foreground, "stay in the foreground");
                                });
}

Result<Command> parse_umount(std::vector<std::string> words) {
  return parse_into<UmountWords>("cpaway umount", std::move(words),
                                 [](CLI::App& app, UmountWords& into) {
                                   app.add_option("MOUNTPOINT", into.mountpoint)->required();
                                   app.add_option("--state-dir", into.state_dir, kStateDirHelp);
                                 });
}

Result<Command> parse_status(std::vector<std::string> words) {
  return parse_into<StatusWords>(
      "cpaway status", std::move(words), [](CLI::App& app, StatusWords& into) {
        app.add_option("MOUNTPOINT", into.mountpoint);
        app.add_flag("--json", into.json, "for programs: an array with one object a mount");
        app.add_option("--state-dir", into.state_dir, kStateDirHelp);
      });
}

Result<Command> parse_wait(std::vector<std::string> words) {
  return parse_into<WaitWords>("cpaway wait", std::move(words), [](CLI::App& app, WaitWords& into) {
    app.add_option("PATH", into.path, "a file or directory on a mount")->required();
    app.add_option("--state-dir", into.state_dir, kStateDirHelp);
  });
}

Result<Command> parse_gc(std::vector<std::string> words) {
  return parse_into<GcWords>("cpaway gc", std::move(words), [](CLI::App& app, GcWords& into) {
    app.add_option("MOUNTPOINT", into.mountpoint)->required();
    app.add_option("--max-age", into.max_age_days,
                   "days for which what an interrupted upload left is kept, default 7")
        ->check(CLI::Range(uint64_t{0}, kMaxAgeLimitDays));
    app.add_option("--state-dir", into.state_dir, kStateDirHelp);
  });
}

struct NamedParser {
  std::string_view name;
  Result<Command> (*parse)(std::vector<std::string> words);
};
constexpr std::array kParsers = {
    NamedParser{"mount", parse_mount},    NamedParser{"umount", parse_umount},
    NamedParser{"unmount", parse_umount}, NamedParser{"status", parse_status},
    NamedParser{"wait", parse_wait},      NamedParser{"gc", parse_gc}};

}  // namespace

Result<Command> parse_command_line(std::vector<std::string> words) {
  if (words.empty()) {
    return fail(Errc::invalid, "nothing to do; see cpaway --help");
  }
  const std::string first = words.front();
  if (first == "--help" || first == "-h" || first == "help") {
    return Command(ShowText{kHelp});
  }
  if (first == "--version" || first == "-V") {
    return Command(ShowText{kVersion});
  }
  for (const NamedParser& parser : kParsers) {
    if (parser.name == first) {
      words.erase(words.begin());
      return parser.parse(std::move(words));
    }
  }
  if (first.find(':') == std::string::npos && !first.starts_with("-")) {
    return fail(Errc::invalid, concat("unknown command \"", first, "\"; see cpaway --help"));
  }
  return parse_mount(std::move(words));
}

Result<std::variant<ShowText, Mount8Words>> parse_mount8_line(std::vector<std::string> words) {
  using Line = std::variant<ShowText, Mount8Words>;
  if (words.size() == 1 && (words[0] == "--version" || words[0] == "-V")) {
    return Line(ShowText{kVersion});
  }
  Mount8Words into;
  bool verbose = false;
  bool no_mtab = false;
  std::string name_space;
  std::string type;
  CLI::App app("", "mount.cpaway");
  add_mount_words(app, into.mount);
  app.add_flag("-s", into.mount.sloppy, "unknown options are skipped");
  app.add_flag("-f", into.only_check, "check, but do not mount");
  app.add_flag("-n", no_mtab, "accepted: there is no mtab to write");
  app.add_flag("-v", verbose, "accepted");
  app.add_option("-N", name_space, "not supported");
  app.add_option("-t", type, "accepted: there is one type");
  CPAWAY_ASSIGN(auto help, parse(app, std::move(words)));
  if (help) {
    return Line(std::move(*help));
  }
  if (!name_space.empty()) {
    return fail(Errc::invalid, "mount.cpaway: -N is not supported");
  }
  return Line(std::move(into));
}

}  // namespace cpaway::tools
