#include "tools/state_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/base/clock.h"
#include "engine/base/strings.h"
#include "engine/hash/digest.h"
#include "tools/child_process.h"
#include "tools/control_socket.h"
#include "tools/mount_table.h"
#include "tools/option_values.h"

namespace cpaway::tools {
namespace {

constexpr int kMaxMountsOfOne = 64;
constexpr size_t kMaxReadableName = 120;
constexpr size_t kHashDigits = 8;
constexpr size_t kMaxRecordSize = 16384;
constexpr size_t kMaxDaemons = 4096;
constexpr int64_t kEndingTimeoutMs = 10'000;
constexpr int64_t kEndingPollMs = 100;
constexpr const char* kLockName = "lock";

// mkdir -p; what is made is for this user only.
Status make_directories(const std::string& path) {
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    static_cast<void>(mkdir(path.substr(0, at).c_str(), 0700));
  }
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_os(errno, concat("state directory ", path));
  }
  return {};
}

Result<UniqueFd> open_own_directory(const std::string& path) {
  CPAWAY_TRY(make_directories(path));
  UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!directory || fstat(directory.get(), &info) != 0) {
    return fail_os(errno, concat("state directory ", path));
  }
  if (info.st_uid != geteuid() || (info.st_mode & 077U) != 0) {
    return fail(Errc::invalid,
                concat("state directory ", path, ": must belong to this user, with mode 0700"));
  }
  return directory;
}

struct flock whole_file(short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// False where another process has it.
Result<bool> take_lock(int fd, const std::string& path) {
  struct flock lock = whole_file(F_WRLCK);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
    return true;
  }
  if (errno == EAGAIN || errno == EACCES) {
    return false;
  }
  return fail_os(errno, concat("state directory ", path, ": lock"));
}

bool is_locked(int fd) {
  struct flock lock = whole_file(F_WRLCK);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

Status write_record(int fd, const DaemonRecord& record) {
  const nlohmann::json json = {
      {"source", record.source}, {"mountpoint", record.mountpoint}, {"pid", record.pid}};
  const std::string text =
      json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (ftruncate(fd, 0) != 0) {
    return fail_os(errno, "truncate");
  }
  return pwrite_full(fd, as_bytes(text), 0);
}

std::optional<DaemonRecord> read_record(int fd) {
  Bytes bytes(kMaxRecordSize);
  const auto count = pread_full(fd, bytes, 0);
  if (!count) {
    return std::nullopt;
  }
  const auto json =
      nlohmann::json::parse(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(*count), nullptr,
                            /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return std::nullopt;
  }
  DaemonRecord record;
  const auto source = json.find("source");
  const auto mountpoint = json.find("mountpoint");
  const auto pid = json.find("pid");
  const bool whole = source != json.end() && source->is_string() && mountpoint != json.end() &&
                     mountpoint->is_string() && pid != json.end() && pid->is_number_integer();
  if (!whole) {
    return std::nullopt;
  }
  return DaemonRecord{source->get<std::string>(), mountpoint->get<std::string>(),
                      pid->get<pid_t>()};
}

std::optional<RunningDaemon> open_running(int base, const char* name) {
  UniqueFd directory(openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const UniqueFd lock(openat(directory.get(), kLockName, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory || !lock || !is_locked(lock.get())) {
    return std::nullopt;
  }
  auto record = read_record(lock.get());
  if (!record) {
    return std::nullopt;
  }
  return RunningDaemon{std::move(*record), std::move(directory)};
}

// False where it cannot be seen, too.
bool sees_our_mounts(pid_t pid) {
  struct stat ours {};
  struct stat theirs {};
  return stat("/proc/self/ns/mnt", &ours) == 0 &&
         stat(concat("/proc/", pid, "/ns/mnt").c_str(), &theirs) == 0 &&
         ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

}  // namespace

std::string state_base(std::string_view chosen) {
  if (!chosen.empty()) {
    return std::string(chosen);
  }
  const char* xdg = std::getenv("XDG_STATE_HOME");
  if (xdg != nullptr && *xdg == '/') {
    return concat(xdg, "/cpaway");
  }
  return geteuid() == 0 ? "/var/lib/cpaway" : concat(home_directory(), "/.local/state/cpaway");
}

std::string state_name(const transport::LoginOptions& login, std::string_view directory) {
  const std::string whole = concat(login.user, login.user.empty() ? "" : "@", login.host, ":",
                                   login.port == 0 ? "" : concat(login.port), ":", directory);
  std::string name = whole.substr(0, kMaxReadableName);
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) {
        return std::isalnum(c) == 0 &&
               std::string_view("@:._-").find(static_cast<char>(c)) == std::string_view::npos;
      },
      '_');
  if (name.front() == '.') {
    name.front() = '_';
  }
  const auto digest = hash::sha256(as_bytes(whole));
  return concat(name, "-", hash::to_hex(digest).substr(0, kHashDigits));
}

Result<std::optional<StateDir>> StateDir::try_acquire(const std::string& path) {
  StateDir state;
  state.path_ = path;
  CPAWAY_ASSIGN(state.directory_, open_own_directory(path));
  state.lock_.reset(openat(state.fd(), kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!state.lock_ && errno == ENOENT) {
    return fail(Errc::cancelled, path);
  }
  if (!state.lock_) {
    return fail_os(errno, concat("state directory ", path, ": lock"));
  }
  CPAWAY_ASSIGN(const bool taken, take_lock(state.lock_.get(), path));
  if (!taken) {
    return std::optional<StateDir>();
  }
  struct stat info;
  if (fstat(state.lock_.get(), &info) != 0 || info.st_nlink == 0) {
    return fail(Errc::cancelled, path);
  }
  return std::optional(std::move(state));
}

bool StateDir::wait_for_ending(const std::string& path, int64_t until_ms) {
  const UniqueFd lock(open(concat(path, "/", kLockName).c_str(), O_RDONLY | O_CLOEXEC));
  const int64_t left_ms = until_ms - system_clock().now_ms();
  if (left_ms <= 0) {
    return false;
  }
  if (!lock || !is_locked(lock.get())) {
    return true;  // it has ended just now
  }
  const auto holder = read_record(lock.get());
  const auto table = read_mount_table();
  if (!holder || !table || find_mount(*table, holder->mountpoint) ||
      !sees_our_mounts(holder->pid)) {
    return false;
  }
  if (const UniqueFd process = open_pid(holder->pid)) {
    static_cast<void>(
        wait_for_exit(process.get(), static_cast<int>(std::min(left_ms, kEndingPollMs))));
  }
  return true;
}

Result<StateDir> StateDir::acquire(const std::string& base, const std::string& name,
                                   const DaemonRecord& record) {
  int removed_count = 0;
  const int64_t until_ms = system_clock().now_ms() + kEndingTimeoutMs;
  for (int number = 1; number <= kMaxMountsOfOne;) {
    const std::string path = concat(base, "/", name, number == 1 ? "" : concat(".", number));
    auto state = try_acquire(path);
    if (!state && state.error().code == Errc::cancelled && ++removed_count < kMaxMountsOfOne) {
      continue;
    }
    if (!state) {
      return fail(std::move(state).error());
    }
    if (*state) {
      if (const auto written = write_record((*state)->lock_.get(), record); !written) {
        return fail(with_context(written.error(), concat("state directory ", path)));
      }
      return std::move(**state);
    }
    if (!wait_for_ending(path, until_ms)) {
      ++number;
    }
  }
  return fail(Errc::limit, concat(kMaxMountsOfOne, " mounts of the same remote directory"));
}

void StateDir::clean() {
  static_cast<void>(unlinkat(fd(), kControlSocketName, 0));
  static_cast<void>(unlinkat(fd(), kLockName, 0));
  static_cast<void>(rmdir(path_.c_str()));
}

std::vector<RunningDaemon> running_daemons(const std::string& base) {
  std::vector<RunningDaemon> daemons;
  const UniqueFd directory(open(base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::error_code failed;
  std::filesystem::directory_iterator entry(base, failed);
  const std::filesystem::directory_iterator end;
  while (!failed && entry != end && daemons.size() < kMaxDaemons) {
    if (auto running = open_running(directory.get(), entry->path().filename().c_str())) {
      daemons.push_back(std::move(*running));
    }
    entry.increment(failed);
  }
  return daemons;
}

}  // namespace cpaway::tools
