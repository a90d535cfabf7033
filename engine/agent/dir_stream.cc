#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "engine/agent/attr.h"
#include "engine/agent/handle.h"
#include "engine/wire/names.h"

namespace cpaway::agent {
namespace {

constexpr size_t kBufferSize = 32UL << 10U;
constexpr size_t kPageSize = 96UL << 10U;  // stops a page; one entry is 364 bytes at most
constexpr size_t kEntryFixedSize = 107;    // a name's length and the attributes, encoded

// As the kernel lays it out; its names differ between libcs.
struct KernelEntry {
  uint64_t ino;
  int64_t next_offset;
  uint16_t size;
  unsigned char type;
  char name[1];
};

}  // namespace

Status DirStream::rewind(int fd) {
  if (::lseek(fd, 0, SEEK_SET) < 0) {
    return fail_os(errno, "rewind");
  }
  next_ = 0;
  end_ = 0;
  return {};
}

Result<DirStream::Raw> DirStream::next_raw(int fd) {
  if (next_ == end_) {
    buffer_.resize(kBufferSize);
    const long size = ::syscall(SYS_getdents64, fd, buffer_.data(), buffer_.size());
    if (size < 0) {
      return fail_os(errno, "readdir");
    }
    next_ = 0;
    end_ = static_cast<size_t>(size);
    if (size == 0) {
      return Raw{};
    }
  }
  KernelEntry entry{};
  std::memcpy(&entry, buffer_.data() + next_, offsetof(KernelEntry, name));
  const auto* name =
      reinterpret_cast<const char*>(buffer_.data() + next_) + offsetof(KernelEntry, name);
  next_ += entry.size;
  return Raw{name, entry.ino, entry.type};
}

Result<wire::ReadDir::Answer> DirStream::next_page(int fd) {
  wire::ReadDir::Answer page;
  Location at;
  at.dir = fd;
  for (size_t size = 0; size < kPageSize;) {
    CPAWAY_ASSIGN(const Raw raw, next_raw(fd));
    if (raw.name.empty()) {
      page.end = true;
      break;
    }
    if (raw.name == "." || raw.name == ".." || wire::is_staging_name(raw.name)) {
      continue;
    }
    at.name = raw.name;
    auto attr = read_attr(at);
    if (!attr && attr.error().os_errno == ENOENT) {
      continue;
    }
    if (!attr) {  // a directory that may be read but not searched
      attr = wire::Attr{};
      attr->ino = raw.ino;
      attr->mode = DTTOIF(raw.type);
    }
    size += kEntryFixedSize + raw.name.size();
    page.entries.push_back({raw.name, *attr});
  }
  return page;
}

}  // namespace cpaway::agent
