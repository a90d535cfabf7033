// cpaway-agent: serves one mount over its standard input and output (man/cpaway-agent.1).
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "engine/agent/server.h"
#include "engine/base/fault.h"
#include "engine/base/log.h"

namespace {

using cpaway::Errc;
using cpaway::Error;

// Exit codes; the man page lists them.
enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kProtocol = 3, kVersion = 4 };

constexpr int kPipeSize = 1 << 20;

constexpr char kHelp[] =
    "Usage: cpaway-agent [--root DIR] [--mode read-only|write-only|no-delete]\n"
    "Serves a cpaway mount on standard input and output; the mount starts it over SSH.\n"
    "\n"
    "  --root DIR   serve nothing outside of DIR\n"
    "  --mode MODE  read-only: change nothing; write-only: read no content;\n"
    "               no-delete: remove no name\n"
    "  --version    print the version\n"
    "  --help       print this\n";

// The reader's next read finds the end of its input, as if the client had gone.
void end_input(int /*signal*/) {
  const int null_fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd >= 0) {
    ::dup2(null_fd, STDIN_FILENO);
    ::close(null_fd);
  }
}

void handle_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // beyond ulimit -f: the write says so
  struct sigaction action {};
  action.sa_handler = end_input;  // without SA_RESTART: a read under way returns
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    ::sigaction(signal, &action, nullptr);
  }
}

void prepare_process() {
  ::umask(0);  // modes come with the umask of the program that wants them
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  // Where sshd uses pipes; it is no error that it uses sockets.
  ::fcntl(STDIN_FILENO, F_SETPIPE_SZ, kPipeSize);
  ::fcntl(STDOUT_FILENO, F_SETPIPE_SZ, kPipeSize);
  ::mallopt(M_ARENA_MAX, 2);  // blocks are freed by other threads than the reader
}

int fail_with(int code, const Error& error) {
  cpaway::log::error("cpaway-agent: ", error.to_string());
  return code;
}

int exit_code(const Error& error) {
  switch (error.code) {
    case Errc::protocol:
      return kProtocol;
    case Errc::version:
      return kVersion;
    default:
      return kFailed;
  }
}

// -1 where the agent is to run, else the exit code.
int parse_options(int argc, char** argv, cpaway::agent::Options& options) {
  static const option kLong[] = {{"root", required_argument, nullptr, 'r'},
                                 {"mode", required_argument, nullptr, 'm'},
                                 {"version", no_argument, nullptr, 'V'},
                                 {"help", no_argument, nullptr, 'h'},
                                 {}};
  for (int c = 0; (c = ::getopt_long(argc, argv, "", kLong, nullptr)) != -1;) {
    if (c == 'r') {
      options.confine = optarg;
    } else if (c == 'm') {
      auto mode = cpaway::agent::parse_mode(optarg);
      if (!mode) {
        return fail_with(kUsage, mode.error());
      }
      options.mode = *mode;
    } else if (c == 'V') {
      std::puts("cpaway-agent " CPAWAY_VERSION);
      return kDone;
    } else if (c == 'h') {
      std::fputs(kHelp, stdout);
      return kDone;
    } else {
      return kUsage;  // getopt_long has said why
    }
  }
  if (optind < argc) {
    return fail_with(kUsage, cpaway::make_error(Errc::invalid, argv[optind]));
  }
  return -1;
}

int serve(int argc, char** argv) {
  cpaway::agent::Options options;
  if (const int code = parse_options(argc, argv, options); code >= 0) {
    return code;
  }
  if (const auto loaded = cpaway::fault::load_from_environment(); !loaded) {
    return fail_with(kUsage, loaded.error());
  }
  prepare_process();
  handle_signals();
  cpaway::agent::Server server(STDIN_FILENO, STDOUT_FILENO, std::move(options));
  const auto served = server.run();
  return served ? kDone : fail_with(exit_code(served.error()), served.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return serve(argc, argv);
  } catch (const std::exception& thrown) {
    cpaway::log::error("cpaway-agent: ", thrown.what());
    return kFailed;
  }
}
