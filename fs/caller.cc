#include "fs/caller.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <iterator>
#include <memory>
#include <sstream>
#include <vector>

#include "engine/base/fd.h"
#include "engine/base/strings.h"

namespace cpaway::fs {
namespace {

constexpr uint64_t kExiting = 0x4;     // PF_EXITING
constexpr uint64_t kSignaled = 0x400;  // PF_SIGNALED
// A shell in a shell in a script is deep already.
constexpr int kMaxAncestors = 8;
constexpr int kMaxDescriptors = 1000;
// In /proc/PID/stat, counted from the state after the name.
constexpr size_t kFlagsField = 6;
constexpr size_t kExitCodeField = 49;

std::string read_proc(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<uint8_t, 4096> buffer;
  if (!fd) {
    return {};
  }
  const auto got = read_full(fd.get(), buffer);
  return got ? std::string(as_text(ByteSpan(buffer).first(*got))) : std::string();
}

uint64_t parse_number(std::string_view digits, int base) {
  uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return value;
}

// The value behind "name:" in /proc/PID/status or fdinfo, without the blanks before it.
std::string_view field(std::string_view text, std::string_view name) {
  size_t at = 0;
  while ((at = text.find(name, at)) != std::string_view::npos) {
    const size_t after = at + name.size();
    if ((at == 0 || text[at - 1] == '\n') && after < text.size() && text[after] == ':') {
      const size_t begin = text.find_first_not_of(" \t", after + 1);
      return begin == std::string_view::npos ? std::string_view{}
                                             : text.substr(begin, text.find('\n', begin) - begin);
    }
    at = after;
  }
  return {};
}

constexpr uint64_t bit(int signal) {
  return 1ULL << static_cast<unsigned>(signal - 1);
}

// Signals that nobody waits for an end by, where the program does not catch them: their default is
// to be ignored or to stop.
constexpr uint64_t kHarmless = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT) |
                               bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
constexpr uint64_t kAsksForEnd = bit(SIGINT) | bit(SIGTERM) | bit(SIGHUP) | bit(SIGQUIT);

}  // namespace

// A thread inside execve(2) that closes a descriptor holds a lock that reading its stat waits for
// (exec_update_lock): reading it then, with that close waiting for us, would never end. One that is
// exiting has given up its memory before its files, and status, which waits for nothing, shows
// that.
ProgramEnd how_it_ends(pid_t tid) {
  const std::string status = tid <= 0 ? std::string() : read_proc(concat("/proc/", tid, "/status"));
  if (status.empty() || !field(status, "VmSize").empty()) {
    return ProgramEnd::none;
  }
  const std::string stat = read_proc(concat("/proc/", tid, "/stat"));
  const size_t name_end = stat.rfind(") ");
  std::istringstream fields(name_end == std::string::npos ? std::string()
                                                          : stat.substr(name_end + 2));
  const std::vector<std::string> words{std::istream_iterator<std::string>(fields), {}};
  if (words.size() <= kExitCodeField) {
    return ProgramEnd::none;
  }
  const uint64_t flags = parse_number(words[kFlagsField], 10);
  if ((flags & kExiting) == 0) {
    return ProgramEnd::none;
  }
  if ((flags & kSignaled) != 0) {
    return ProgramEnd::killed;
  }
  return parse_number(words[kExitCodeField], 10) != 0 ? ProgramEnd::failed : ProgramEnd::none;
}

bool was_killed_by_signal(int pid_fd) {
  // The first published size of struct pidfd_info; older system headers lack it.
  struct Info {
    uint64_t mask = 0;
    uint64_t cgroup = 0;
    std::array<uint32_t, 11> ids{};
    int32_t exit_code = 0;
  };
  static_assert(sizeof(Info) == 64);
  constexpr uint64_t kExitInfo = 8;
  Info info;
  info.mask = kExitInfo;
  return ::ioctl(pid_fd, _IOWR(0xFF, 11, Info), &info) == 0 && (info.mask & kExitInfo) != 0 &&
         WIFSIGNALED(info.exit_code);
}

std::string program_name(pid_t tid) {
  std::string name = tid <= 0 ? std::string() : read_proc(concat("/proc/", tid, "/comm"));
  while (!name.empty() && name.back() == '\n') {
    name.pop_back();
  }
  return name;
}

PendingSignal pending_signal(pid_t tid) {
  const std::string status = read_proc(concat("/proc/", tid, "/status"));
  if (tid <= 0 || status.empty()) {
    return PendingSignal::fatal;  // nobody can be seen waiting
  }
  const auto mask = [&status](std::string_view name) {
    return parse_number(field(status, name), 16);
  };
  const uint64_t pending = (mask("SigPnd") | mask("ShdPnd")) & ~mask("SigBlk");
  const uint64_t ignored = mask("SigIgn");
  const uint64_t fatal = ~mask("SigCgt") & ~kHarmless;
  // A thread that is already dying has its signal behind it.
  if ((pending & ~ignored & fatal) != 0 || killed_by_signal(tid)) {
    return PendingSignal::fatal;
  }
  return (pending & ~ignored & kAsksForEnd) != 0 ? PendingSignal::caught : PendingSignal::none;
}

namespace {

// Since Linux 5.14.
bool fdinfo_tells_inodes() {
  const UniqueFd fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return !field(read_proc(concat("/proc/self/fdinfo/", fd.get())), "ino").empty();
}

// Not by the links in /proc/PID/fd: like stat they wait for a thread inside execve(2). `left` is
// how many may be looked at.
bool process_has_open(pid_t tid, uint64_t ino, int& left) {
  const std::string folder = concat("/proc/", tid, "/fdinfo");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), &::closedir);
  if (tid <= 0 || !dir) {
    return false;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view number = entry->d_name;
    if (number[0] == '.') {
      continue;
    }
    if (--left < 0 ||
        parse_number(field(read_proc(concat(folder, "/", number)), "ino"), 10) == ino) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool has_open(pid_t tid, uint64_t ino) {
  static const bool is_told = fdinfo_tells_inodes();
  if (!is_told) {
    return true;
  }
  int left = kMaxDescriptors;
  for (int generation = 0; tid > 1 && generation < kMaxAncestors; ++generation) {
    if (process_has_open(tid, ino, left)) {
      return true;
    }
    const std::string status = read_proc(concat("/proc/", tid, "/status"));
    tid = static_cast<pid_t>(parse_number(field(status, "PPid"), 10));
  }
  return false;
}

}  // namespace cpaway::fs
