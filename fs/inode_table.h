// Inodes by the kernel's node id, by remote file, and by name; and the tree of names, from which
// the paths that go to the agent are built.
//
// Programs see the inode numbers of the remote host, with three exceptions: a file that was created
// here has had a number before it was there, one that was replaced keeps that of its old version,
// and what got a number there that is shown of another file must have one of its own. Those the
// journal remembers, so that they are the same when the kernel has forgotten the inode, and in the
// next mount.
//
// An entry lives while the kernel counts lookups of it or a child's name refers to it. Thread-safe;
// its lock is a leaf: nothing is called while it is held, the journal neither.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "fs/inode.h"

namespace cpaway::fs {

class InodeTable {
 public:
  static constexpr uint64_t kRootId = 1;  // FUSE_ROOT_ID

  // `journal` outlives it.
  InodeTable(const wire::Attr& root, upload::Journal& journal);

  [[nodiscard]] InodePtr root() const { return root_; }
  // Null for an id that the kernel should not know (it does not happen; callers answer ESTALE).
  [[nodiscard]] InodePtr find(uint64_t id) const CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] InodePtr find(const Inode& parent, std::string_view name) const
      CPAWAY_EXCLUDES(mutex_);
  // The path below the root; nothing once the inode has no name any more.
  [[nodiscard]] std::optional<std::string> path(const Inode& inode) const CPAWAY_EXCLUDES(mutex_);
  // The path of `name` in `parent`; nothing where parent has none. Errors of length are the
  // agent's.
  [[nodiscard]] std::optional<std::string> path(const Inode& parent, std::string_view name) const
      CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] InodePtr parent(const Inode& inode) const CPAWAY_EXCLUDES(mutex_);
  // One name of the inode, for messages and notifications.
  [[nodiscard]] std::optional<std::pair<InodePtr, std::string>> name(const Inode& inode) const
      CPAWAY_EXCLUDES(mutex_);

  // The inode of what the agent found under a name; counts one lookup. What the name meant before,
  // if that was another remote file, loses it.
  [[nodiscard]] InodePtr intern(const InodePtr& parent, std::string_view name,
                                const wire::Attr& attr) CPAWAY_EXCLUDES(mutex_);
  // A file that is being created and is not on the remote host yet; counts one lookup.
  [[nodiscard]] InodePtr create(const InodePtr& parent, std::string_view name)
      CPAWAY_EXCLUDES(mutex_);
  // Now this is the remote file behind the inode (commit); nothing when that has gone, so that what
  // gets its number next is another inode.
  void set_key(const InodePtr& inode, std::optional<upload::FileIdentity> key)
      CPAWAY_EXCLUDES(mutex_);
  // The number of what the agent has listed, and the kernel may not know.
  [[nodiscard]] uint64_t shown_ino(const wire::Attr& attr) CPAWAY_EXCLUDES(mutex_);
  void add_lookup(const InodePtr& inode) CPAWAY_EXCLUDES(mutex_);
  void forget(uint64_t id, uint64_t count) CPAWAY_EXCLUDES(mutex_);

  void remove_name(const Inode& parent, std::string_view name) CPAWAY_EXCLUDES(mutex_);
  void rename(const InodePtr& from, std::string_view name, const InodePtr& to,
              std::string_view new_name, bool exchange) CPAWAY_EXCLUDES(mutex_);

  // The names of `parent` that have an inode here.
  [[nodiscard]] std::vector<std::pair<std::string, InodePtr>> children(const Inode& parent) const
      CPAWAY_EXCLUDES(mutex_);
  [[nodiscard]] std::vector<InodePtr> all() const CPAWAY_EXCLUDES(mutex_);

 private:
  using Name = std::pair<uint64_t, std::string>;  // parent's id, name
  struct Entry {
    InodePtr inode;
    uint64_t lookups = 0;
    uint64_t children = 0;  // names below it
    std::vector<Name> names;
    std::optional<upload::FileIdentity> key;
  };

  [[nodiscard]] uint64_t remote_ino(const upload::FileIdentity& key) const;
  // One that no other file has.
  [[nodiscard]] uint64_t fresh_ino();
  // What the journal knows of a file that is not in the table, or its remote number.
  [[nodiscard]] uint64_t known_ino(const upload::FileIdentity& key);
  [[nodiscard]] Entry* find_locked(const Inode& parent, std::string_view name,
                                   const upload::FileIdentity& key) CPAWAY_REQUIRES(mutex_);
  Entry& add_locked(uint64_t shown_ino) CPAWAY_REQUIRES(mutex_);
  void link_locked(Entry& entry, uint64_t parent_id, std::string_view name) CPAWAY_REQUIRES(mutex_);
  void unlink_locked(uint64_t parent_id, std::string_view name) CPAWAY_REQUIRES(mutex_);
  void drop_unused_locked(uint64_t id) CPAWAY_REQUIRES(mutex_);
  [[nodiscard]] std::optional<std::string> path_locked(uint64_t id) const CPAWAY_REQUIRES(mutex_);

  upload::Journal& journal_;
  const uint64_t root_dev_;
  std::atomic<uint64_t> next_fresh_;
  InodePtr root_;  // constant
  mutable Mutex mutex_;
  uint64_t next_id_ CPAWAY_GUARDED_BY(mutex_) = kRootId;
  std::unordered_map<uint64_t, Entry> entries_ CPAWAY_GUARDED_BY(mutex_);
  std::map<upload::FileIdentity, uint64_t> by_key_ CPAWAY_GUARDED_BY(mutex_);
  std::map<Name, uint64_t, std::less<>> by_name_ CPAWAY_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, uint64_t> by_shown_ CPAWAY_GUARDED_BY(mutex_);  // numbers to ids
};

}  // namespace cpaway::fs
