// An open file or directory of the client's. Used on its strand, but for opening.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "engine/agent/file_access.h"
#include "engine/base/mutex.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// The entries of a directory from its start, in pages; small: one kernel buffer.
class DirStream {
 public:
  // The next page: entries with attributes, without "." and ".." and staging files. An entry that
  // vanished is left out; one whose attributes cannot be read has its type and inode number only.
  [[nodiscard]] Result<wire::ReadDir::Answer> next_page(int fd);
  [[nodiscard]] Status rewind(int fd);

 private:
  struct Raw {
    std::string name;  // empty at the end
    uint64_t ino = 0;
    unsigned char type = 0;
  };
  [[nodiscard]] Result<Raw> next_raw(int fd);

  Bytes buffer_;  // as getdents64(2) filled it
  size_t next_ = 0;
  size_t end_ = 0;
};

struct Handle {
  // Any thread: another descriptor of the same file. EBADF once it is closed.
  [[nodiscard]] Result<UniqueFd> duplicate() CPAWAY_EXCLUDES(mutex);
  // 0 or the errno.
  [[nodiscard]] int close() CPAWAY_EXCLUDES(mutex);

  UniqueFd fd;
  bool reads_back = true;     // false: may be written but not read
  bool appends_only = false;  // open with O_APPEND, for an append-only file
  DirStream entries;
  Mutex mutex;  // held while `fd` is duplicated or goes
  // Set: opened for locks (lock_handlers.cc); wire::kPosixLock or kFlock.
  std::optional<uint8_t> lock_family;
  // Who locks through this handle's description, by family. For the reader alone.
  std::array<std::weak_ptr<Handle>, 2> borrowers;
};

}  // namespace cpaway::agent
