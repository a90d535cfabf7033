#include "tests/e2e/fs_side.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <vector>

#include "engine/hash/digest.h"

namespace cpaway::testing {
namespace {

// Explicit times lie before it, the clock's after it.
constexpr time_t kYear2020 = 1577836800;

std::string hash_of_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) {
    return "errno " + std::to_string(errno);
  }
  hash::Sha256 digest;
  std::vector<uint8_t> buffer(1U << 18U);
  ssize_t got = 0;
  while ((got = ::read(fd.get(), buffer.data(), buffer.size())) > 0) {
    digest.update(ByteSpan(buffer.data(), static_cast<size_t>(got)));
  }
  return got < 0 ? "read errno " + std::to_string(errno)
                 : hash::to_hex(digest.value()).substr(0, 16);
}

char type_letter(unsigned char type) {
  switch (type) {
    case DT_REG:
      return 'f';
    case DT_DIR:
      return 'd';
    case DT_LNK:
      return 'l';
    case DT_FIFO:
      return 'p';
    default:
      return '?';
  }
}

std::string link_text(const std::string& path) {
  std::string text(5000, '\0');
  const ssize_t size = ::readlink(path.c_str(), text.data(), text.size());
  return size < 0 ? "errno " + std::to_string(errno) : text.substr(0, static_cast<size_t>(size));
}

std::vector<std::string> names_in(const std::string& path, std::string* error) {
  std::vector<std::string> names;
  DIR* const dir = ::opendir(path.c_str());
  if (dir == nullptr) {
    *error = " errno " + std::to_string(errno);
    return names;
  }
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

FsSide::FsSide(std::string root, std::optional<FileOwner> owner)
    : root_(std::move(root)), owner_(owner) {}

int FsSide::close(size_t slot) {
  return ::close(slots_.at(slot).release()) == 0 ? 0 : errno;
}

void FsSide::close_all() {
  for (UniqueFd& fd : slots_) {
    fd.reset();
  }
}

// setfsuid drops the capabilities that overrule permissions, too, and setting it back returns them.
ActAsOwner::ActAsOwner(const FsSide& side) : changed_(side.owner().has_value()) {
  if (changed_) {
    ::setfsgid(side.owner()->gid);
    ::setfsuid(side.owner()->uid);
  }
}

ActAsOwner::~ActAsOwner() {
  if (changed_) {
    ::setfsuid(0);
    ::setfsgid(0);
  }
}

std::string text_of(const struct stat& st) {
  std::string text(1, type_letter(IFTODT(st.st_mode)));
  char mode[8];
  static_cast<void>(std::snprintf(mode, sizeof mode, " %04o", st.st_mode & 07777U));
  text += mode;
  if (S_ISDIR(st.st_mode)) {
    return text;  // its time changes with the commit of a file that is being created in it
  }
  text += " size " + std::to_string(st.st_size);
  // What is written to a fifo on the mount, the remote host does not hear of.
  if (!S_ISFIFO(st.st_mode) && st.st_mtim.tv_sec < kYear2020) {
    text +=
        " mtime " + std::to_string(st.st_mtim.tv_sec) + "." + std::to_string(st.st_mtim.tv_nsec);
  }
  return text;
}

std::string text_of_xattrs(const std::string& path) {
  std::string names(65536, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  if (size < 0) {
    return "errno " + std::to_string(errno);
  }
  std::vector<std::string> lines;
  for (size_t at = 0; at < static_cast<size_t>(size);) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    std::string value(65536, '\0');
    const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(length < 0 ? 0 : static_cast<size_t>(length));
    lines.push_back(name + "=" + std::to_string(length) + ":" +
                    std::to_string(std::hash<std::string>()(value) % 10000));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) {
    text += " " + line;
  }
  return text;
}

Outcome list_directory(int fd) {
  DIR* const dir = ::fdopendir(fd);
  if (dir == nullptr) {
    const int error = errno;
    ::close(fd);
    return {-1, error, {}};
  }
  ::rewinddir(dir);
  std::vector<std::string> lines;
  errno = 0;
  while (const dirent* entry = ::readdir(dir)) {
    lines.push_back(std::string(entry->d_name) + ":" + type_letter(entry->d_type));
    errno = 0;
  }
  Outcome outcome{static_cast<int64_t>(lines.size()), errno, {}};
  ::closedir(dir);
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) {
    outcome.data += line + " ";
  }
  return outcome;
}

std::map<std::string, std::string> tree_of(const FsSide& side) {
  const ActAsOwner rights(side);
  std::map<std::string, std::string> tree;
  std::map<std::pair<dev_t, ino_t>, std::string> first_names;
  std::vector<std::string> pending{""};
  while (!pending.empty()) {
    const std::string path = pending.back();
    pending.pop_back();
    const std::string full = side.full(path);
    struct stat st {};
    if (::lstat(full.c_str(), &st) != 0) {
      tree[path] = "errno " + std::to_string(errno);
      continue;
    }
    std::string text = text_of(st) + " links " + std::to_string(st.st_nlink);
    if (S_ISREG(st.st_mode)) {
      text += " content " + hash_of_file(full);
    } else if (S_ISLNK(st.st_mode)) {
      text += " to " + link_text(full);
    } else if (S_ISDIR(st.st_mode)) {
      for (const std::string& name : names_in(full, &text)) {
        pending.push_back(path.empty() ? name : path + "/" + name);
      }
    }
    const auto [first, is_new] = first_names.try_emplace({st.st_dev, st.st_ino}, path);
    if (!is_new) {
      text += " same as " + first->second;
    }
    tree[path] = text + text_of_xattrs(full);
  }
  return tree;
}

}  // namespace cpaway::testing
