// Files that a copying program has unlinked, so as to create them anew (mv and install do that).
//
// On the mount the name is gone at once. On the remote host the old version stays until the new one
// takes its name, so that there is a whole file at every moment, and serves as basis of the delta.
// Where no new file comes within a second, or the program ends, the unlink is carried out; where a
// signal killed the program meanwhile, it is given back: the old file shows again.
//
// Thread-safe; its lock is a leaf. `carry_out` and `give_back` run on the table's own thread or on
// that of the call, outside the lock.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "engine/base/fd.h"
#include "engine/base/mutex.h"
#include "engine/upload/journal.h"
#include "fs/inode.h"

namespace cpaway::fs {

struct PendingUnlink {
  InodePtr parent;
  std::string name;
  InodePtr inode;              // what was unlinked
  upload::VersionKey version;  // of the file that was unlinked
  pid_t program = 0;
};

class PendingUnlinks {
 public:
  using Act = std::function<void(const PendingUnlink&)>;
  static constexpr int64_t kDelayMs = 1000;

  PendingUnlinks(Act carry_out, Act give_back)
      : carry_out_(std::move(carry_out)), give_back_(std::move(give_back)) {}
  // Carries out what is left.
  ~PendingUnlinks();
  PendingUnlinks(const PendingUnlinks&) = delete;
  PendingUnlinks& operator=(const PendingUnlinks&) = delete;

  void add(PendingUnlink pending) CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] bool contains(const Inode& parent, std::string_view name) const
      CPAWAY_EXCLUDES(mutex_);
  // The program creates the name: the unlink will not be carried out, the file be replaced.
  [[nodiscard]] std::optional<PendingUnlink> claim(const Inode& parent, std::string_view name,
                                                   pid_t program) CPAWAY_EXCLUDES(mutex_);
  // Carries out at once: of one name, of a directory, of all.
  void flush(const Inode& parent, std::string_view name) CPAWAY_EXCLUDES(mutex_);
  void flush(const Inode& parent) CPAWAY_EXCLUDES(mutex_);
  void flush() CPAWAY_EXCLUDES(mutex_);

 private:
  using Key = std::pair<uint64_t, std::string>;  // parent's id, name
  struct Entry {
    PendingUnlink pending;
    int64_t due_ms = 0;                 // monotonic
    std::shared_ptr<UniqueFd> process;  // a pidfd; invalid where it cannot be had
  };
  // Carries out, or gives back, those for which predicate(key, entry, the program has ended) holds.
  template <class Predicate>
  void settle_if(Predicate predicate) CPAWAY_EXCLUDES(mutex_);
  void run() CPAWAY_EXCLUDES(mutex_);

  const Act carry_out_;
  const Act give_back_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::map<Key, Entry> entries_ CPAWAY_GUARDED_BY(mutex_);
  pid_t last_program_ CPAWAY_GUARDED_BY(mutex_) = 0;
  std::weak_ptr<UniqueFd> last_process_ CPAWAY_GUARDED_BY(mutex_);  // its
  bool stopping_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::thread thread_ CPAWAY_GUARDED_BY(mutex_);  // from the first entry on
};

}  // namespace cpaway::fs
