#include "fs/mount.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "engine/base/fd.h"
#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "fs/device_io.h"
#include "fs/interrupt_watch.h"
#include "fs/notifier.h"
#include "fs/ops.h"
#include "fs/vfs.h"

namespace cpaway::fs {
namespace {

// No FUSE thread waits for the network, so a few serve any number of programs.
constexpr unsigned kFuseThreads = 4;
// How long an unmount waits for commits that programs have been told about.
constexpr int64_t kDrainMs = 30'000;
// How long it waits for the kernel to take what it is told.
constexpr int64_t kNotifyMs = 2'000;

std::string escape_commas(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ',' || c == '\\') {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  return out;
}

std::string mount_words(const Options& options) {
  std::string words = concat("fsname=", escape_commas(options.source), ",subtype=cpaway");
  const std::array<std::pair<bool, const char*>, 7> flags = {{
      {options.read_only, ",ro"},
      {options.allow_other, ",allow_other"},
      {options.default_permissions, ",default_permissions"},
      {options.dev, ",dev"},
      {options.suid, ",suid"},
      {options.noexec, ",noexec"},
      {options.noatime, ",noatime"},
  }};
  for (const auto& [on, word] : flags) {
    words += on ? word : "";
  }
  return words;
}

// libfuse says why it failed only in its log: the last line of it.
class FuseLog {
 public:
  static void install() { fuse_set_log_func(&FuseLog::write); }
  static std::string last() {
    const MutexLock lock(mutex_);
    return last_;
  }

 private:
  static void write(fuse_log_level level, const char* format, va_list arguments) {
    std::array<char, 512> line{};
    vsnprintf(line.data(), line.size(), format, arguments);
    std::string text = line.data();
    while (!text.empty() && text.back() == '\n') {
      text.pop_back();
    }
    log::at(level >= FUSE_LOG_DEBUG ? log::Level::debug : log::Level::info, text);
    const MutexLock lock(mutex_);
    last_ = std::move(text);
  }
  static inline Mutex mutex_;
  static inline std::string last_ CPAWAY_GUARDED_BY(mutex_);
};

class FuseMount : public Mount {
 public:
  FuseMount(const Options& options, client::Requester& agent, upload::Journal& journal,
            const wire::Hello::Answer& hello)
      : interrupts_([&agent](std::function<void()> answered) {
          client::call(
              agent, wire::Ping{},
              [answered = std::move(answered)](const Result<wire::Ping::Answer>&) { answered(); });
        }),
        vfs_(options, agent, journal, hello, notifier_),
        context_{vfs_, interrupts_, options.locks == Locks::remote, options.default_permissions} {}
  ~FuseMount() override { end_session(); }

  Status start(const Options& options);
  Status run() override;
  void stop() override;
  MountReport report() override { return vfs_.report(); }
  void reopen(client::Requester& agent) override { vfs_.reopen(agent); }

 private:
  void end_session();
  void abort_connection() const;

  Notifier notifier_;
  InterruptWatch interrupts_;
  Vfs vfs_;
  OpsContext context_;
  std::atomic<fuse_session*> session_{nullptr};
  uint32_t connection_ = 0;               // the kernel's number for it: its device's
  std::atomic<pthread_t> main_thread_{};  // in run()
};

Status FuseMount::start(const Options& options) {
  FuseLog::install();
  const std::string words = mount_words(options);
  std::vector<std::string> argv = {"cpaway", "-o", words};
  if (options.fuse_debug) {
    argv.emplace_back("-d");
  }
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  for (const std::string& word : argv) {
    fuse_opt_add_arg(&args, word.c_str());
  }
  fuse_session* session =
      fuse_session_new(&args, &fuse_ops(), sizeof(fuse_lowlevel_ops), &context_);
  fuse_opt_free_args(&args);
  if (session == nullptr) {
    return fail(Errc::invalid, concat("mount options ", words, ": ", FuseLog::last()));
  }
  if (fuse_session_mount(session, options.mountpoint.c_str()) != 0) {
    const int error = errno;
    const std::string said = FuseLog::last();
    fuse_session_destroy(session);
    return fail_os(error != 0 ? error : EIO, concat("mount on ", options.mountpoint, ": ", said));
  }
  if (auto installed = install_device_io(session); !installed) {
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return installed;
  }
  session_ = session;
  struct statx st {};
  // What the kernel knows by itself: nobody answers requests yet.
  if (::statx(AT_FDCWD, options.mountpoint.c_str(), AT_STATX_DONT_SYNC, 0, &st) == 0) {
    connection_ = st.stx_dev_minor;
  }
  notifier_.set_session(session);
  return {};
}

Status FuseMount::run() {
  vfs_.look_at_remote_clock();
  main_thread_ = pthread_self();
  fuse_loop_config* config = fuse_loop_cfg_create();
  fuse_loop_cfg_set_max_threads(config, kFuseThreads);
  fuse_loop_cfg_set_idle_threads(config, kFuseThreads);
  fuse_loop_cfg_set_clone_fd(config, 0);
  const int result = fuse_session_loop_mt(session_, config);
  fuse_loop_cfg_destroy(config);
  end_session();
  if (result < 0) {
    return fail_os(-result, "serving the mount");
  }
  return {};
}

void FuseMount::stop() {
  fuse_session* session = session_;
  if (session == nullptr) {
    return;
  }
  fuse_session_exit(session);
  // run() sleeps in sem_wait(3), which a signal ends; any handled one does.
  const pthread_t main_thread = main_thread_;
  if (main_thread != 0 && pthread_equal(main_thread, pthread_self()) == 0) {
    pthread_kill(main_thread, SIGTERM);
  }
}

// Commits that programs wait for end before the kernel's side goes: their answers still count.
void FuseMount::end_session() {
  notifier_.leave_waiting();
  vfs_.drain(kDrainMs);
  if (!notifier_.end_session(kNotifyMs)) {
    abort_connection();
    if (!notifier_.end_session(kNotifyMs)) {
      log::error("the kernel does not let go of the mount");
    }
  }
  if (fuse_session* session = session_.exchange(nullptr)) {
    fuse_session_unmount(session);
    fuse_session_destroy(session);
  }
}

// A notification waits for a request that nobody will answer: all of them fail now (fuse.rst,
// "Aborting a filesystem connection"). Closing the device would not do: it is in use.
void FuseMount::abort_connection() const {
  const std::string path = concat("/sys/fs/fuse/connections/", connection_, "/abort");
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), "1", 1) != 1) {
    log::error(path, ": ", strerror(errno));
  }
}

}  // namespace

Result<std::unique_ptr<Mount>> Mount::create(const Options& options, client::Requester& agent,
                                             upload::Journal& journal,
                                             const wire::Hello::Answer& hello) {
  auto mount = std::make_unique<FuseMount>(options, agent, journal, hello);
  CPAWAY_TRY(mount->start(options));
  return std::unique_ptr<Mount>(std::move(mount));
}

}  // namespace cpaway::fs
