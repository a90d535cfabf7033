#include "tools/mount_command.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

#include "cache/null_journal.h"
#include "cache/store.h"
#include "engine/base/strings.h"
#include "fs/mount.h"
#include "tools/background.h"
#include "tools/control_server.h"
#include "tools/exit_code.h"
#include "tools/mount_control.h"
#include "tools/mountpoint.h"
#include "tools/prompt.h"
#include "tools/stale_uploads.h"
#include "tools/state_dir.h"
#include "tools/stop_signals.h"

namespace cpaway::tools {
namespace {

constexpr int64_t kCloseTimeoutMs = 5000;

struct Failure {
  Error error;
  ExitCode code;
};
template <typename T>
using Checked = tl::expected<T, Failure>;

// The error of `result`, with the exit code of the step that it belongs to.
template <typename T>
tl::unexpected<Failure> failure(Result<T> result, ExitCode code) {
  return tl::unexpected<Failure>(Failure{std::move(result).error(), code});
}

// The words, understood; everything about this host checked.
Checked<MountOptions> check_words(const MountWords& words) {
  auto options = parse_mount_options(words);
  if (!options) {
    return failure(std::move(options), ExitCode::usage);
  }
  if (auto allowed = check_allow_other(options->filesystem.allow_other); !allowed) {
    return failure(std::move(allowed), ExitCode::usage);
  }
  auto mountpoint = resolve_mountpoint(words.mountpoint);
  if (!mountpoint) {
    return failure(std::move(mountpoint), ExitCode::mountpoint);
  }
  options->filesystem.mountpoint = std::move(*mountpoint);
  if (auto usable = prepare_mountpoint(options->filesystem.mountpoint, options->nonempty);
      !usable) {
    return failure(std::move(usable), ExitCode::mountpoint);
  }
  if (auto device = check_fuse_device(); !device) {
    return failure(std::move(device), ExitCode::system);
  }
  return std::move(*options);
}

Status read_password(MountOptions& options) {
  if (options.password_stdin) {
    CPAWAY_ASSIGN(options.session.login.password, read_secret_line(STDIN_FILENO));
  }
  return {};
}

// Secrets would be in a core; and a client or ssh that went away must not end the mount. Blocks are
// filled and freed by different threads: with an arena for each, memory grows to twice the window.
// What is larger than they are, the chunk lists of huge files, goes back to the kernel when it is
// freed; malloc would raise that limit by itself.
void set_process_limits() {
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  static_cast<void>(signal(SIGPIPE, SIG_IGN));
}

Status open_log(const MountOptions& options) {
  log::Options log_options;
  log_options.target = options.log_target.value_or(options.foreground ? "stderr" : "syslog");
  log_options.level = options.log_level;
  return log::open(log_options);
}

// What is held while the mount lives, and let go in the opposite order.
class ServedMount {
 public:
  explicit ServedMount(const MountOptions& options) : options_(options) {}
  ~ServedMount();
  ServedMount(const ServedMount&) = delete;
  ServedMount& operator=(const ServedMount&) = delete;

  // Until the kernel has the mount and `cpaway status` is answered.
  [[nodiscard]] Checked<void> start();
  // Lets the waiting process go and serves to the end.
  [[nodiscard]] Checked<void> run(Background& background);

 private:
  [[nodiscard]] Checked<void> open_state();
  [[nodiscard]] Checked<void> mount();

  const MountOptions& options_;
  std::optional<StateDir> state_;
  std::unique_ptr<upload::Journal> journal_;
  std::unique_ptr<client::Session> session_;
  StopSignals signals_;
  std::unique_ptr<fs::Mount> mount_;
  std::unique_ptr<MountControl> answers_;
  std::unique_ptr<ControlServer> control_;
};

Checked<void> ServedMount::open_state() {
  auto state =
      StateDir::acquire(state_base(options_.state_dir),
                        state_name(options_.session.login, options_.session.directory),
                        {options_.filesystem.source, options_.filesystem.mountpoint, getpid()});
  if (!state) {
    return failure(std::move(state), ExitCode::system);
  }
  state_ = std::move(*state);
  if (auto opened = open_log(options_); !opened) {
    return failure(std::move(opened), ExitCode::system);
  }
  auto store = cache::Store::open({.directory = state_->path()});
  if (store) {
    journal_ = std::move(*store);
  } else {
    log::warning("runs without a memory of what was sent: ", store.error().to_string());
    journal_ = std::make_unique<cache::NullJournal>();
  }
  return {};
}

Checked<void> ServedMount::mount() {
  signals_.hold();
  auto mount = fs::Mount::create(options_.filesystem, *session_, *journal_, session_->hello());
  if (!mount) {
    return failure(std::move(mount), ExitCode::mount_failed);
  }
  mount_ = std::move(*mount);
  signals_.watch(*mount_);
  session_->set_reopen([this](client::Requester& agent) { mount_->reopen(agent); });
  answers_ = std::make_unique<MountControl>(options_, *session_, *mount_, *journal_);
  auto control = ControlServer::start(
      state_->fd(), [this](const std::string& request, const ControlReply& reply) {
        answers_->answer(request, reply);
      });
  if (!control) {
    return failure(std::move(control), ExitCode::system);
  }
  control_ = std::move(*control);
  return {};
}

Checked<void> ServedMount::start() {
  if (auto opened = open_state(); !opened) {
    return opened;
  }
  auto session = client::Session::connect(options_.session, terminal_prompter());
  if (!session) {
    const ExitCode code = connect_exit_code(session.error());
    return failure(std::move(session), code);
  }
  session_ = std::move(*session);
  return mount();
}

Checked<void> ServedMount::run(Background& background) {
  if (signals_.requested()) {
    return failure(Status(fail(Errc::cancelled, "mount")), ExitCode::mount_failed);
  }
  if (auto detached = background.detach(options_.log_target == "stderr"); !detached) {
    return failure(std::move(detached), ExitCode::system);
  }
  log::info("mounted ", options_.filesystem.source, " on ", options_.filesystem.mountpoint);
  if (!options_.filesystem.read_only) {
    collect_stale_uploads(*session_, *journal_, cache::wall_clock_s());
  }
  if (auto ended = mount_->run(); !ended) {
    log::error(options_.filesystem.mountpoint, ": ", ended.error().to_string());
    return failure(std::move(ended), ExitCode::mount_failed);
  }
  return {};
}

ServedMount::~ServedMount() {
  control_.reset();
  signals_.forget();
  if (session_) {
    session_->close(kCloseTimeoutMs);  // late answers still find the mount's workers
  }
  mount_.reset();
  session_.reset();
  journal_.reset();
  if (state_) {
    state_->clean();
  }
}

int serve(const MountOptions& options, Background& background) {
  set_process_limits();
  ServedMount served(options);
  auto outcome = served.start();
  if (outcome) {
    outcome = served.run(background);
  }
  return outcome ? to_int(ExitCode::ok)
                 : report_failure(outcome.error().error, outcome.error().code);
}

}  // namespace

int mount_command(const MountWords& words) {
  auto options = check_words(words);
  if (!options) {
    return report_failure(options.error().error, options.error().code);
  }
  if (const Status read = read_password(*options); !read) {
    return report_failure(read.error(), ExitCode::usage);
  }
  const auto run = [&options](Background& background) { return serve(*options, background); };
  return options->foreground ? run_in_foreground(run) : run_in_background(run);
}

int check_mount_command(const MountWords& words) {
  const auto options = check_words(words);
  return options ? to_int(ExitCode::ok)
                 : report_failure(options.error().error, options.error().code);
}

}  // namespace cpaway::tools
