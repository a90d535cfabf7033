// What the mount knows of one remote file, or of one that a program is just creating.
//
// Names and parents are the InodeTable's, under its lock. Everything else is under the inode's own
// mutex, which is never held across a reply, a submit, or a call into the table.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/upload/in_place_writer.h"
#include "engine/upload/journal.h"
#include "engine/upload/upload.h"
#include "engine/wire/message.h"

namespace cpaway::fs {

[[nodiscard]] inline upload::FileIdentity identity_of(const wire::Attr& attr) {
  return {attr.dev, attr.ino, attr.btime.seconds, attr.btime.nanoseconds, attr.mode & S_IFMT};
}

struct Inode;
struct OpenFile;

struct KnownAcl {
  std::optional<Bytes> acl;  // none: there is none
  int64_t deadline_ms = 0;   // monotonic
};

// Holds off the commit of a staged upload for as long as a copy lives; null where nothing is
// staged. Let go outside of every lock.
using StagedUse = std::shared_ptr<const void>;

// A new version that is being written and is not committed yet.
struct Staged {
  std::shared_ptr<upload::Upload> upload;
  std::shared_ptr<const void> listed;  // in StagedInodes
  wire::Placement placement;           // what commit will set; its path is filled in then
  bool is_new = false;                 // the name does not exist on the remote host
  bool replaces = false;            // a program has unlinked the old version, which is still there
  std::shared_ptr<Inode> replaced;  // this
  bool changed = false;             // a program has set attributes of it
  bool committing = false;          // writes wait for the end of it
  uint32_t uses = 0;                // operations under way on it, which its commit waits for
  std::function<void()> when_unused;  // that commit
  bool unlinked = false;              // nothing to commit to: lives until the last close
  uint64_t left_in = 0;               // the directory that it was unlinked from, a node id
  // A large file that a copying program writes: nobody has asked for it in memory here.
  bool uncached = false;
  bool abandoned = false;  // its program was killed: given up at the last close
  // The handle that this program had: whoever has it too, and only closes it, does not commit.
  const OpenFile* abandoned_by = nullptr;

  // A file at the agent that hands down its attributes.
  [[nodiscard]] bool has_old_version() const { return !is_new && !replaces; }
};

// What programs do goes to what is staged.
[[nodiscard]] inline bool is_local(const std::optional<Staged>& staged) {
  return staged && !staged->abandoned;
}

struct Inode {
  explicit Inode(uint64_t node_id, uint64_t ino) : id(node_id), shown_ino(ino) {}

  const uint64_t id;         // the kernel's name for it
  const uint64_t shown_ino;  // st_ino; the journal keeps it where the remote inode has another

  Mutex mutex;
  wire::Attr attr CPAWAY_GUARDED_BY(mutex);
  int64_t attr_deadline_ms CPAWAY_GUARDED_BY(mutex) = 0;    // monotonic; attr is asked for after it
  int64_t access_deadline_ms CPAWAY_GUARDED_BY(mutex) = 0;  // the same for mode, owner and access
  // Of a directory; asked for again with its attributes.
  std::optional<KnownAcl> default_acl CPAWAY_GUARDED_BY(mutex);
  // While it is open: a directory above it was closed to the login user. It is asked for by a
  // handle.
  bool out_of_reach CPAWAY_GUARDED_BY(mutex) = false;
  // Its last name was unlinked, of which the agent hears later: there it has one still.
  bool unlink_pends CPAWAY_GUARDED_BY(mutex) = false;
  uint64_t change_count CPAWAY_GUARDED_BY(mutex) = 0;  // of changes made through this mount
  int64_t forgotten_ms CPAWAY_GUARDED_BY(mutex) = 0;   // monotonic; when attr last was outdated
  std::optional<Staged> staged CPAWAY_GUARDED_BY(mutex);
  std::vector<std::function<void()>> after_commit CPAWAY_GUARDED_BY(mutex);
  uint32_t open_handles CPAWAY_GUARDED_BY(mutex) = 0;  // all of them
  uint32_t open_writers CPAWAY_GUARDED_BY(mutex) = 0;  // handles open for writing
  uint32_t running CPAWAY_GUARDED_BY(mutex) = 0;       // handles open for a program that runs
  pid_t last_reader CPAWAY_GUARDED_BY(mutex) = 0;      // the program that opened it for reading
  // In-place writing, from the first such write to the last close of a writer.
  std::shared_ptr<upload::InPlaceWriter> writer CPAWAY_GUARDED_BY(mutex);
  uint32_t writer_handle CPAWAY_GUARDED_BY(mutex) = 0;  // at the agent
  // This version at the agent, open from its commit to the last close where its mode forbids the
  // login user to open it anew; then it is the writer's, too. 0: none.
  uint32_t kept_handle CPAWAY_GUARDED_BY(mutex) = 0;
  // Opens of it, closed ones among them until the next is added.
  std::vector<std::weak_ptr<OpenFile>> open_files CPAWAY_GUARDED_BY(mutex);
  // Counts versions that took the name: read handles opened before are reopened.
  uint64_t version CPAWAY_GUARDED_BY(mutex) = 0;
  // Of the last commit through this mount, with what it was computed of.
  std::optional<hash::Sha256Value> sha256 CPAWAY_GUARDED_BY(mutex);
  wire::Attr sha256_attr CPAWAY_GUARDED_BY(mutex);
  // Of the last commit through this mount: the file's ctime, and what programs saw as it before.
  wire::Time committed_ctime CPAWAY_GUARDED_BY(mutex);
  wire::Time shown_ctime CPAWAY_GUARDED_BY(mutex);
  // Of a directory: when a name came or went here of which the agent is told later. It counts until
  // the directory has another mtime there than it had first after that.
  std::optional<wire::Time> names_changed CPAWAY_GUARDED_BY(mutex);
  std::optional<wire::Time> unchanged_mtime CPAWAY_GUARDED_BY(mutex);
  // What the page cache was filled from: size, mtime and ctime at the last open.
  wire::Attr cached_attr CPAWAY_GUARDED_BY(mutex);
  // When a lock was last taken: the file then, and whether any later change shows in its times.
  wire::Attr lock_attr CPAWAY_GUARDED_BY(mutex);
  bool lock_attr_settled CPAWAY_GUARDED_BY(mutex) = false;
};

using InodePtr = std::shared_ptr<Inode>;

}  // namespace cpaway::fs
