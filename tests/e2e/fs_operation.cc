#include "tests/e2e/fs_operation.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <sstream>
#include <thread>

#include "engine/hash/digest.h"
#include "tests/support/random_bytes.h"

namespace cpaway::testing {
namespace {

using Op = FsOperation;

Outcome outcome_of(int64_t value) {
  return {value, value < 0 ? errno : 0, {}};
}

Bytes content_of(const Op& op) {
  return random_bytes(op.size, op.choice);
}

std::string digest_of(ByteSpan bytes) {
  hash::Sha256 digest;
  digest.update(bytes);
  return hash::to_hex(digest.value()).substr(0, 12);
}

Outcome outcome_of_bytes(int64_t value, const Bytes& bytes) {
  Outcome outcome = outcome_of(value);
  if (value > 0) {
    outcome.data = digest_of(ByteSpan(bytes.data(), static_cast<size_t>(value)));
  }
  return outcome;
}

Outcome outcome_of_attr(int result, const struct stat& st) {
  Outcome outcome = outcome_of(result);
  if (result == 0) {
    outcome.data = text_of(st);
    outcome.links = static_cast<int64_t>(st.st_nlink);
  }
  return outcome;
}

constexpr unsigned kOwner = 0600;

// Directories stay searchable: a kernel that has names in its cache asks nobody. And fifos stay
// open to root, who is asked about by the kernel of the mount.
unsigned bits_to_keep(const struct stat& st) {
  return (S_ISDIR(st.st_mode) ? 0311U : 0) | (S_ISFIFO(st.st_mode) ? kOwner : 0);
}

// ---- open files

int open_flags(uint32_t choice) {
  constexpr std::array<int, 8> kAccess{O_RDWR,   O_RDWR,   O_WRONLY, O_WRONLY,
                                       O_RDONLY, O_RDONLY, O_RDWR,   O_WRONLY};
  int flags = kAccess[choice % 8] | O_NONBLOCK | O_CLOEXEC;
  choice /= 8;
  const auto sometimes = [&choice](unsigned one_in, int flag) {
    const bool yes = choice % one_in == 0;
    choice /= one_in;
    return yes ? flag : 0;
  };
  flags |= sometimes(2, O_CREAT) | sometimes(6, O_EXCL) | sometimes(3, O_TRUNC);
  flags |= sometimes(4, O_APPEND) | sometimes(16, O_DIRECTORY) | sometimes(16, O_NOFOLLOW);
  flags |= sometimes(16, O_SYNC);
  if ((flags & O_CREAT) == 0) {
    flags &= ~O_EXCL;  // has no meaning alone
  } else {
    flags &= ~O_DIRECTORY;  // kernels differ
  }
  return (flags & O_ACCMODE) == O_RDONLY ? flags & ~O_TRUNC : flags;
}

Outcome put_into(FsSide& side, size_t slot, UniqueFd fd) {
  if (!fd) {
    return {-1, errno, {}};
  }
  if (side.fd(slot) >= 0) {
    side.close(slot);
  }
  side.put(slot, std::move(fd));
  return {};
}

Outcome run_open(FsSide& side, const Op& op) {
  UniqueFd fd(::open(side.full(op.path).c_str(), open_flags(op.choice), op.mode));
  return put_into(side, op.slot, std::move(fd));
}

// The same file anew, which may have no name any more.
Outcome run_reopen(FsSide& side, const Op& op) {
  const int flags = open_flags(op.choice) & ~(O_CREAT | O_EXCL | O_NOFOLLOW);
  const std::string path = "/proc/self/fd/" + std::to_string(side.fd(op.slot));
  UniqueFd fd(::open(path.c_str(), flags));
  return put_into(side, op.other_slot, std::move(fd));
}

Outcome run_close(FsSide& side, const Op& op) {
  const int error = side.fd(op.slot) < 0 ? EBADF : side.close(op.slot);
  return {error == 0 ? 0 : -1, error, {}};
}

Outcome run_dup(FsSide& side, const Op& op) {
  UniqueFd fd(::fcntl(side.fd(op.slot), F_DUPFD_CLOEXEC, 0));
  return put_into(side, op.other_slot, std::move(fd));
}

Outcome run_read(FsSide& side, const Op& op) {
  struct stat st {};
  if (::fstat(side.fd(op.slot), &st) == 0 && S_ISDIR(st.st_mode)) {
    return {};  // EISDIR or EINVAL, as the position happens to be
  }
  Bytes bytes(op.size);
  return outcome_of_bytes(::read(side.fd(op.slot), bytes.data(), bytes.size()), bytes);
}

Outcome run_pread(FsSide& side, const Op& op) {
  Bytes bytes(op.size);
  return outcome_of_bytes(
      ::pread(side.fd(op.slot), bytes.data(), bytes.size(), static_cast<off_t>(op.offset)), bytes);
}

Outcome run_write(FsSide& side, const Op& op) {
  const Bytes bytes = content_of(op);
  return outcome_of(::write(side.fd(op.slot), bytes.data(), bytes.size()));
}

Outcome run_pwrite(FsSide& side, const Op& op) {
  const Bytes bytes = content_of(op);
  return outcome_of(
      ::pwrite(side.fd(op.slot), bytes.data(), bytes.size(), static_cast<off_t>(op.offset)));
}

Outcome run_append(FsSide& side, const Op& op) {
  Bytes bytes = content_of(op);
  const iovec part{bytes.data(), bytes.size()};
  return outcome_of(::pwritev2(side.fd(op.slot), &part, 1, 0, RWF_APPEND));
}

// What is not dirty is read anew.
Outcome run_fadvise(FsSide& side, const Op& op) {
  return outcome_of(::posix_fadvise(side.fd(op.slot), 0, 0, POSIX_FADV_DONTNEED));
}

// The login user opens the file for a lock, so its mode counts there.
bool may_be_locked(const FsSide& side, const Op& op) {
  struct stat st {};
  return ::fstat(side.fd(op.slot), &st) != 0 || (st.st_mode & kOwner) == kOwner;
}

Outcome run_flock(FsSide& side, const Op& op) {
  constexpr std::array<int, 3> kKinds{LOCK_SH, LOCK_EX, LOCK_UN};
  return may_be_locked(side, op)
             ? outcome_of(::flock(side.fd(op.slot), kKinds[op.choice % 3] | LOCK_NB))
             : Outcome{};
}

// Locks of the open file: those of a process would not conflict here.
Outcome run_lock(FsSide& side, const Op& op) {
  constexpr std::array<short, 3> kKinds{F_RDLCK, F_WRLCK, F_UNLCK};
  struct flock lock {};
  lock.l_type = kKinds[op.choice % 3];
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(op.offset % 64);
  lock.l_len = static_cast<off_t>(op.size % 64);
  if (!may_be_locked(side, op)) {
    return {};
  }
  if (op.choice / 3 % 4 != 0) {
    return outcome_of(::fcntl(side.fd(op.slot), F_OFD_SETLK, &lock));
  }
  lock.l_type = op.choice % 2 == 0 ? F_RDLCK : F_WRLCK;
  Outcome outcome = outcome_of(::fcntl(side.fd(op.slot), F_OFD_GETLK, &lock));
  if (outcome.value == 0) {
    outcome.data = lock.l_type == F_UNLCK ? "free" : "held";  // which of several is not told
  }
  return outcome;
}

Outcome run_lseek(FsSide& side, const Op& op) {
  constexpr std::array<int, 3> kWhence{SEEK_SET, SEEK_CUR, SEEK_END};
  struct stat st {};
  if (::fstat(side.fd(op.slot), &st) == 0 && !S_ISREG(st.st_mode)) {
    return {};  // a directory's positions are the filesystem's own
  }
  return outcome_of(
      ::lseek(side.fd(op.slot), static_cast<off_t>(op.offset), kWhence[op.choice % 3]));
}

Outcome run_ftruncate(FsSide& side, const Op& op) {
  return outcome_of(::ftruncate(side.fd(op.slot), static_cast<off_t>(op.offset)));
}

Outcome run_fsync(FsSide& side, const Op& op) {
  const int fd = side.fd(op.slot);
  return outcome_of(op.choice % 2 == 0 ? ::fsync(fd) : ::fdatasync(fd));
}

Outcome run_fstat(FsSide& side, const Op& op) {
  struct stat st {};
  const int result = ::fstat(side.fd(op.slot), &st);
  return outcome_of_attr(result, st);
}

Outcome run_fchmod(FsSide& side, const Op& op) {
  struct stat st {};
  unsigned mode = op.mode;
  if (::fstat(side.fd(op.slot), &st) == 0) {
    mode |= bits_to_keep(st);
  }
  return outcome_of(::fchmod(side.fd(op.slot), mode));
}

Outcome run_list_slot(FsSide& side, const Op& op) {
  struct stat st {};
  if (::fstat(side.fd(op.slot), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return {};
  }
  return list_directory(::fcntl(side.fd(op.slot), F_DUPFD_CLOEXEC, 0));
}

// A page that cannot be read comes as SIGBUS.
sigjmp_buf page_lost;

[[gnu::noinline]] void use_map(std::span<uint8_t> bytes, const Op& op, size_t first, Outcome& out) {
  if (op.choice % 2 == 0) {
    const Bytes content = content_of(op);
    std::memcpy(bytes.data() + first, content.data(), bytes.size() - first);
    out = outcome_of(op.choice % 4 == 0 ? ::msync(bytes.data(), bytes.size(), MS_SYNC) : 0);
  } else {
    out = {};
    out.data = digest_of(bytes);
  }
}

// Apart from its caller, none of whose variables is to be in use when it returns a second time.
[[gnu::noinline]] void use_map_or_lose(std::span<uint8_t> bytes, const Op& op, size_t first,
                                       Outcome& out) {
  if (sigsetjmp(page_lost, 1) == 0) {
    use_map(bytes, op, first, out);
  }
}

// Reads or writes through a shared mapping, at most to the file's end: beyond is SIGBUS.
Outcome run_mmap(FsSide& side, const Op& op) {
  struct stat st {};
  if (::fstat(side.fd(op.slot), &st) != 0 || !S_ISREG(st.st_mode)) {
    return {};
  }
  constexpr uint64_t kPage = 4096;
  const uint64_t start = op.offset / kPage * kPage;
  const auto file_size = static_cast<uint64_t>(st.st_size);
  if (start >= file_size || op.size == 0) {
    return {};
  }
  const uint64_t end = std::min(op.offset + op.size, file_size);
  const bool writes = op.choice % 2 == 0;
  void* const map = ::mmap(nullptr, end - start, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED,
                           side.fd(op.slot), static_cast<off_t>(start));
  if (map == MAP_FAILED) {
    return {-1, errno, {}};
  }
  const std::span<uint8_t> bytes(static_cast<uint8_t*>(map), end - start);
  Outcome outcome{-1, EFAULT, "SIGBUS"};
  struct sigaction old {};
  struct sigaction action {};
  action.sa_handler = [](int /*signal*/) { siglongjmp(page_lost, 1); };
  ::sigaction(SIGBUS, &action, &old);
  use_map_or_lose(bytes, op, std::min(op.offset - start, bytes.size()), outcome);
  ::sigaction(SIGBUS, &old, nullptr);
  ::munmap(map, end - start);
  return outcome;
}

Outcome run_fallocate(FsSide& side, const Op& op) {
  constexpr std::array<int, 4> kModes{
      0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE};
  return outcome_of(::fallocate(side.fd(op.slot), kModes[op.choice % 4],
                                static_cast<off_t>(op.offset), static_cast<off_t>(op.size)));
}

Outcome run_copy_range(FsSide& side, const Op& op) {
  auto from = static_cast<off64_t>(op.offset);
  auto to = static_cast<off64_t>(op.choice % (1U << 20U));
  if (op.slot == op.other_slot && from < to + static_cast<off64_t>(op.size) &&
      to < from + static_cast<off64_t>(op.size)) {
    return {};
  }
  return outcome_of(
      ::copy_file_range(side.fd(op.slot), &from, side.fd(op.other_slot), &to, op.size, 0));
}

// ---- paths

Outcome run_stat(FsSide& side, const Op& op) {
  struct stat st {};
  const int result = op.choice % 2 == 0 ? ::stat(side.full(op.path).c_str(), &st)
                                        : ::lstat(side.full(op.path).c_str(), &st);
  return outcome_of_attr(result, st);
}

Outcome run_truncate(FsSide& side, const Op& op) {
  return outcome_of(::truncate(side.full(op.path).c_str(), static_cast<off_t>(op.offset)));
}

Outcome run_rename(FsSide& side, const Op& op) {
  constexpr std::array<unsigned, 6> kFlags{0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
  return outcome_of(::renameat2(AT_FDCWD, side.full(op.path).c_str(), AT_FDCWD,
                                side.full(op.other_path).c_str(), kFlags[op.choice % 6]));
}

Outcome run_link(FsSide& side, const Op& op) {
  return outcome_of(::linkat(AT_FDCWD, side.full(op.path).c_str(), AT_FDCWD,
                             side.full(op.other_path).c_str(),
                             op.choice % 4 == 0 ? AT_SYMLINK_FOLLOW : 0));
}

Outcome run_link_slot(FsSide& side, const Op& op) {
  const std::string from = "/proc/self/fd/" + std::to_string(side.fd(op.slot));
  return outcome_of(
      ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, side.full(op.path).c_str(), AT_SYMLINK_FOLLOW));
}

Outcome run_symlink(FsSide& side, const Op& op) {
  std::string text = op.other_path;
  if (op.choice % 16 == 0) {
    text = std::string(op.choice / 16 % 4200, 'x');
  }
  return outcome_of(::symlink(text.c_str(), side.full(op.path).c_str()));
}

Outcome run_readlink(FsSide& side, const Op& op) {
  std::array<char, 5000> text{};
  const ssize_t size =
      ::readlink(side.full(op.path).c_str(), text.data(), op.choice % 4 == 0 ? 3 : text.size());
  Outcome outcome = outcome_of(size);
  outcome.data.assign(text.data(), size < 0 ? 0 : static_cast<size_t>(size));
  return outcome;
}

Outcome run_unlink(FsSide& side, const Op& op) {
  return outcome_of(::unlink(side.full(op.path).c_str()));
}

Outcome run_mkdir(FsSide& side, const Op& op) {
  return outcome_of(::mkdir(side.full(op.path).c_str(), 0755));
}

Outcome run_rmdir(FsSide& side, const Op& op) {
  return outcome_of(::rmdir(side.full(op.path).c_str()));
}

Outcome run_mkfifo(FsSide& side, const Op& op) {
  return outcome_of(::mkfifo(side.full(op.path).c_str(), op.mode | kOwner));
}

Outcome run_chmod(FsSide& side, const Op& op) {
  struct stat st {};
  const std::string path = side.full(op.path);
  unsigned mode = op.mode;
  if (::stat(path.c_str(), &st) == 0) {
    mode |= bits_to_keep(st);
  }
  return outcome_of(::chmod(path.c_str(), mode));
}

Outcome run_list(FsSide& side, const Op& op) {
  UniqueFd fd(::open(side.full(op.path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd ? list_directory(fd.release()) : Outcome{-1, errno, {}};
}

Outcome run_access(FsSide& side, const Op& op) {
  // With the effective user: the real one is always root.
  return outcome_of(::faccessat(AT_FDCWD, side.full(op.path).c_str(),
                                static_cast<int>(op.choice % 8), AT_EACCESS));
}

timespec random_time(uint32_t choice) {
  timespec time{};
  if (choice % 4 == 0) {
    time.tv_nsec = UTIME_OMIT;
  } else if (choice % 4 == 1) {
    time.tv_nsec = UTIME_NOW;
  } else {
    time.tv_sec = 100'000'000 + choice % 1'000'000'000;
    time.tv_nsec = choice % 999'999'937;
  }
  return time;
}

Outcome run_utimens(FsSide& side, const Op& op) {
  const std::array<timespec, 2> times{random_time(op.choice / 7), random_time(op.choice / 11)};
  const int result = op.choice % 3 == 0
                         ? ::futimens(side.fd(op.slot), times.data())
                         : ::utimensat(AT_FDCWD, side.full(op.path).c_str(), times.data(),
                                       op.choice % 3 == 1 ? AT_SYMLINK_NOFOLLOW : 0);
  Outcome outcome = outcome_of(result);
  struct stat st {};
  if (result == 0 && op.choice % 3 == 1 && times[0].tv_sec != 0 &&
      ::lstat(side.full(op.path).c_str(), &st) == 0 && !S_ISLNK(st.st_mode)) {
    outcome.data = "atime " + std::to_string(st.st_atim.tv_sec) + "." +
                   std::to_string(st.st_atim.tv_nsec) + " " + text_of(st);
  }
  return outcome;
}

// ---- xattrs

std::string xattr_name(uint32_t choice) {
  constexpr std::array<const char*, 6> kNames{"user.a", "user.b", "user.longer.name",
                                              "user.a", "user.b", "nonsense.a"};
  return kNames[choice % kNames.size()];
}

Outcome run_setxattr(FsSide& side, const Op& op) {
  constexpr std::array<int, 4> kFlags{0, 0, XATTR_CREATE, XATTR_REPLACE};
  const Bytes value = random_bytes(op.size % 300, op.choice);
  const std::string name = xattr_name(op.choice);
  const int flags = kFlags[op.choice / 8 % 4];
  if (op.choice / 32 % 3 == 0) {
    return outcome_of(
        ::fsetxattr(side.fd(op.slot), name.c_str(), value.data(), value.size(), flags));
  }
  const auto set = op.choice / 32 % 3 == 1 ? ::setxattr : ::lsetxattr;
  return outcome_of(
      set(side.full(op.path).c_str(), name.c_str(), value.data(), value.size(), flags));
}

Outcome run_getxattr(FsSide& side, const Op& op) {
  constexpr std::array<size_t, 4> kSizes{0, 10, 300, 65536};
  Bytes value(kSizes[op.choice / 8 % 4]);
  const std::string name = xattr_name(op.choice);
  const ssize_t size =
      op.choice / 32 % 2 == 0
          ? ::fgetxattr(side.fd(op.slot), name.c_str(), value.data(), value.size())
          : ::getxattr(side.full(op.path).c_str(), name.c_str(), value.data(), value.size());
  return value.empty() ? outcome_of(size) : outcome_of_bytes(size, value);
}

Outcome run_listxattr(FsSide& side, const Op& op) {
  constexpr std::array<size_t, 3> kSizes{0, 10, 65536};
  Bytes names(kSizes[op.choice % 3]);
  return outcome_of(
      ::listxattr(side.full(op.path).c_str(), reinterpret_cast<char*>(names.data()), names.size()));
}

Outcome run_removexattr(FsSide& side, const Op& op) {
  return outcome_of(op.choice / 8 % 2 == 0
                        ? ::fremovexattr(side.fd(op.slot), xattr_name(op.choice).c_str())
                        : ::removexattr(side.full(op.path).c_str(), xattr_name(op.choice).c_str()));
}

Outcome run_pause(FsSide& /*side*/, const Op& /*op*/) {
  std::this_thread::sleep_for(std::chrono::milliseconds(600));  // twice: what is cached has expired
  return {};
}

// What of an operation means something, for printing: p path, q other path, s slot, t other slot,
// o offset, z size, m mode.
struct Kind {
  const char* name;
  unsigned weight;
  const char* fields;
  Outcome (*run)(FsSide& side, const Op& op);
};

constexpr std::array<Kind, 40> kKinds{{
    {"open", 120, "spm", run_open},
    {"reopen", 20, "st", run_reopen},
    {"close", 30, "s", run_close},
    {"dup", 15, "st", run_dup},
    {"read", 30, "sz", run_read},
    {"pread", 40, "soz", run_pread},
    {"write", 60, "sz", run_write},
    {"pwrite", 60, "soz", run_pwrite},
    {"append", 10, "sz", run_append},
    {"fadvise", 15, "s", run_fadvise},
    {"flock", 15, "s", run_flock},
    {"lock", 15, "soz", run_lock},
    {"lseek", 20, "so", run_lseek},
    {"ftruncate", 20, "so", run_ftruncate},
    {"fsync", 15, "s", run_fsync},
    {"fstat", 40, "s", run_fstat},
    {"fchmod", 8, "sm", run_fchmod},
    {"list_slot", 8, "s", run_list_slot},
    {"mmap", 30, "soz", run_mmap},
    {"fallocate", 20, "soz", run_fallocate},
    {"copy_range", 10, "stoz", run_copy_range},
    {"stat", 60, "p", run_stat},
    {"truncate", 20, "po", run_truncate},
    {"rename", 60, "pq", run_rename},
    {"link", 30, "pq", run_link},
    {"link_slot", 8, "ps", run_link_slot},
    {"symlink", 20, "pq", run_symlink},
    {"readlink", 15, "p", run_readlink},
    {"unlink", 30, "p", run_unlink},
    {"mkdir", 30, "p", run_mkdir},
    {"rmdir", 15, "p", run_rmdir},
    {"mkfifo", 4, "pm", run_mkfifo},
    {"chmod", 20, "pm", run_chmod},
    {"list", 20, "p", run_list},
    {"access", 15, "p", run_access},
    {"utimens", 30, "ps", run_utimens},
    {"setxattr", 20, "psz", run_setxattr},
    {"getxattr", 20, "ps", run_getxattr},
    {"listxattr", 10, "p", run_listxattr},
    {"removexattr", 10, "ps", run_removexattr},
}};
constexpr Kind kPause{"pause", 0, "", run_pause};
constexpr uint64_t kPauseOneIn = 3000;

const Kind& kind_of(const Op& op) {
  return op.kind < kKinds.size() ? kKinds.at(op.kind) : kPause;
}

// ---- chance

size_t random_kind(std::mt19937_64& random) {
  if (random() % kPauseOneIn == 0) {
    return kKinds.size();
  }
  static const unsigned total = [] {
    unsigned sum = 0;
    for (const Kind& kind : kKinds) {
      sum += kind.weight;
    }
    return sum;
  }();
  auto left = static_cast<unsigned>(random() % total);
  size_t kind = 0;
  while (left >= kKinds.at(kind).weight) {
    left -= kKinds.at(kind).weight;
    ++kind;
  }
  return kind;
}

std::string random_path(std::mt19937_64& random) {
  constexpr std::array<const char*, 4> kNames{"a", "b", "c", "d"};
  constexpr std::array<unsigned, 8> kDepths{1, 1, 1, 1, 2, 2, 2, 3};
  std::string path;
  for (unsigned depth = kDepths.at(random() % 8); depth > 0; --depth) {
    path += path.empty() ? "" : "/";
    path += kNames.at(random() % (depth == 1 ? 4 : 2));
  }
  if (random() % 40 == 0) {
    constexpr std::array<const char*, 4> kEnds{"/", "/.", "//", "/"};
    path += kEnds.at(random() % 4);
  } else if (random() % 100 == 0) {
    path += std::string(200 + random() % 57, 'n');
  }
  return path;
}

uint64_t random_size(std::mt19937_64& random) {
  constexpr std::array<uint64_t, 8> kLimits{1, 100, 5000, 5000, 70'000, 70'000, 300'000, 2'500'000};
  return random() % kLimits.at(random() % 8);
}

}  // namespace

FsOperation random_operation(std::mt19937_64& random) {
  constexpr std::array<unsigned, 10> kModes{0644, 0644, 0644, 0600, 0755,
                                            0444, 0400, 0200, 0000, 01644};
  FsOperation op;
  op.kind = random_kind(random);
  op.path = random_path(random);
  op.other_path = random_path(random);
  op.slot = random() % FsSide::kSlots;
  op.other_slot = random() % FsSide::kSlots;
  op.offset = random_size(random);
  op.size = random_size(random);
  op.mode = kModes.at(random() % kModes.size());
  op.choice = static_cast<uint32_t>(random());
  return op;
}

Outcome run_operation(FsSide& side, const FsOperation& operation) {
  const ActAsOwner rights(side);
  errno = 0;
  return kind_of(operation).run(side, operation);
}

std::string describe(const FsOperation& operation) {
  std::ostringstream out;
  const Kind& kind = kind_of(operation);
  out << kind.name;
  for (const char* field = kind.fields; *field != '\0'; ++field) {
    switch (*field) {
      case 'p':
        out << " " << operation.path;
        break;
      case 'q':
        out << " -> " << operation.other_path;
        break;
      case 's':
        out << " #" << operation.slot;
        break;
      case 't':
        out << " -> #" << operation.other_slot;
        break;
      case 'o':
        out << " at " << operation.offset;
        break;
      case 'z':
        out << " size " << operation.size;
        break;
      default:
        out << std::oct << " mode " << operation.mode << std::dec;
    }
  }
  if (kind.run == run_open) {
    out << std::oct << " flags 0" << open_flags(operation.choice) << std::dec;
  }
  out << " choice " << operation.choice;
  return out.str();
}

}  // namespace cpaway::testing
