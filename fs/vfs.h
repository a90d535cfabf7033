// The filesystem's semantics: one method for each FUSE operation, each given a Reply that it
// answers now or from a completion. No method waits for the network.
//
// Files by family: vfs_lookup.cc (names and attributes), vfs_setattr.cc, vfs_name.cc (changes to
// directories), vfs_rename.cc, vfs_unlink.cc, vfs_open.cc (open, create, close), vfs_handle.cc
// (what is open at the agent), vfs_commit.cc (the end of a staged upload), vfs_data.cc (read and
// write), vfs_range.cc (holes, room, copies), vfs_lock.cc, vfs_dir.cc, vfs_xattr.cc, vfs_flags.cc,
// vfs_reopen.cc (after a lost connection). Rules and lock order: fs/DESIGN.md.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "engine/base/executor.h"
#include "engine/client/requester.h"
#include "engine/upload/upload.h"
#include "engine/upload/window.h"
#include "fs/attr_map.h"
#include "fs/caller.h"
#include "fs/handle_table.h"
#include "fs/inode_table.h"
#include "fs/lock_table.h"
#include "fs/mount.h"
#include "fs/notifier.h"
#include "fs/open_file.h"
#include "fs/pending_unlinks.h"
#include "fs/posix_acl.h"
#include "fs/remote_clock.h"
#include "fs/reply.h"
#include "fs/staged_inodes.h"
#include "fs/transfer_list.h"

namespace cpaway::fs {

// Bytes. A file of this size that a copying program writes does not stay in the page cache.
inline constexpr uint64_t kLargeFile = 16UL << 20U;

// How a descriptor is being closed.
struct Closing {
  ProgramEnd end = ProgramEnd::none;  // of the program that closes it
  bool gives_up = false;              // a copying program that did not come to its own end
  // False where the program, or the shell that started it, still has it under another number: a
  // redirection, with nothing written yet.
  bool last = true;
};

struct CopyRequest {
  uint64_t source = 0;  // an open file, as handle
  uint64_t source_offset = 0;
  uint64_t handle = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  int flags = 0;
};

// What a program asks for by fcntl(2) or flock(2).
struct LockRequest {
  uint8_t family = wire::kPosixLock;
  uint64_t owner = 0;  // as the kernel tells them apart; of an flock the open file's handle
  LockRange range;
  bool wait = false;
  pid_t pid = 0;
};

class Vfs {
 public:
  // `agent`, `journal` and `notifier` outlive it.
  Vfs(const Options& options, client::Requester& agent, upload::Journal& journal,
      const wire::Hello::Answer& hello, Notifier& notifier);
  ~Vfs();
  Vfs(const Vfs&) = delete;
  Vfs& operator=(const Vfs&) = delete;

  void lookup(const Reply& reply, uint64_t parent, std::string_view name);
  void forget(uint64_t id, uint64_t count) { inodes_.forget(id, count); }
  void getattr(const Reply& reply, uint64_t id);
  // `to_set` holds FUSE_SET_ATTR_* bits.
  // `is_open`: by a descriptor, whose file's mode does not matter (ftruncate).
  void setattr(const Reply& reply, uint64_t id, const struct stat& attr, int to_set, bool is_open);
  void access(const Reply& reply, uint64_t id, int mask);
  void readlink(const Reply& reply, uint64_t id);
  void statfs(const Reply& reply, uint64_t id);

  // What /proc says of a program is asked, and its consequence drawn, before there is a Reply: an
  // interrupt may answer that at once, and the program be gone, and its last close be here.
  [[nodiscard]] bool is_copying(pid_t caller) const;
  [[nodiscard]] Closing begin_closing(uint64_t handle, pid_t caller);

  void mknod(const Reply& reply, uint64_t parent, std::string_view name, uint32_t mode,
             uint64_t rdev);
  void mkdir(const Reply& reply, uint64_t parent, std::string_view name, uint32_t mode);
  void symlink(const Reply& reply, std::string_view text, uint64_t parent, std::string_view name);
  void link(const Reply& reply, uint64_t id, uint64_t parent, std::string_view name);
  // `copying`: is_copying() of the caller.
  void unlink(const Reply& reply, uint64_t parent, std::string_view name, bool copying);
  void rmdir(const Reply& reply, uint64_t parent, std::string_view name);
  void rename(const Reply& reply, uint64_t from, std::string_view name, uint64_t to,
              std::string_view new_name, unsigned flags);

  void create(const Reply& reply, uint64_t parent, std::string_view name, uint32_t mode,
              const fuse_file_info& file);
  // `copying`: is_copying() of the caller, for O_TRUNC.
  void open(const Reply& reply, uint64_t id, const fuse_file_info& file, bool copying);
  // `lock_owner` gives up its POSIX locks on the file; `closing` is begin_closing()'s.
  void flush(const Reply& reply, uint64_t handle, uint64_t lock_owner, const Closing& closing);
  void fsync(const Reply& reply, uint64_t handle, bool data_only);
  void release(const Reply& reply, uint64_t handle);
  void read(const Reply& reply, uint64_t handle, uint64_t offset, uint32_t size);
  // With `append` to the end of the file, which the kernel takes `offset` to be.
  void write(const Reply& reply, uint64_t handle, uint64_t offset, ByteSpan data, bool append);

  void lseek(const Reply& reply, uint64_t handle, uint64_t offset, int whence);
  void fallocate(const Reply& reply, uint64_t handle, uint32_t mode, uint64_t offset,
                 uint64_t size);
  void copy_file_range(const Reply& reply, const CopyRequest& request);
  void lock(const Reply& reply, uint64_t handle, const LockRequest& request);
  void test_lock(const Reply& reply, uint64_t handle, const LockRequest& request);

  void opendir(const Reply& reply, uint64_t id, const fuse_file_info& file);
  void readdir(const Reply& reply, uint64_t handle, uint64_t offset, size_t size, bool plus);
  void releasedir(const Reply& reply, uint64_t handle);
  void fsyncdir(const Reply& reply, uint64_t handle, bool data_only);

  void getxattr(const Reply& reply, uint64_t id, std::string_view name, size_t size);
  void listxattr(const Reply& reply, uint64_t id, size_t size);
  // FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR; ENOTTY for all others.
  void ioctl(const Reply& reply, uint64_t id, uint32_t command, ByteSpan in, size_t out_size);
  void setxattr(const Reply& reply, uint64_t id, std::string_view name, ByteSpan value, int flags);
  void removexattr(const Reply& reply, uint64_t id, std::string_view name);

  // Opens again at a new agent what is open on the mount (vfs_reopen.cc).
  void reopen(client::Requester& agent);
  // Asks the agent for the time, by `agent` or the session.
  void look_at_remote_clock(client::Requester& agent);
  void look_at_remote_clock() { look_at_remote_clock(agent_); }
  // Commits or gives up what is still staged, as at the last close, and waits for it.
  void drain(int64_t timeout_ms);
  [[nodiscard]] MountReport report();

 private:
  using Job = std::function<void()>;
  using SettledJob = std::function<void(const StagedUse&)>;
  using AttrDone = std::function<void(Result<wire::Attr>)>;
  using StatusDone = std::function<void(Status)>;

  // ---- names and attributes (vfs_lookup.cc)
  // Null, and the reply answered with ESTALE, where the kernel names an inode that is not there.
  [[nodiscard]] InodePtr find_inode(const Reply& reply, uint64_t id);
  // The path of a name; answers the reply where there can be none.
  [[nodiscard]] std::optional<std::string> find_path(const Reply& reply, const InodePtr& parent,
                                                     std::string_view name);
  // The inode as the agent knows it: an open handle where there is one, else the path.
  [[nodiscard]] std::optional<wire::Target> target_of(const InodePtr& inode);
  // Its open handle: of what is there now, or of `any_version` that this mount has replaced.
  [[nodiscard]] std::optional<wire::Target> opened_target(const InodePtr& inode, bool any_version);
  // The same for an open file: a handle where there is one, so that its mode does not matter.
  [[nodiscard]] std::optional<wire::Target> target_of(OpenFile& file);
  void lookup_remote(const Reply& reply, const InodePtr& parent, const std::string& name,
                     const InodePtr& known);
  void reply_entry(const Reply& reply, const InodePtr& parent, const std::string& name,
                   const wire::Attr& attr);
  void reply_attr(const Reply& reply, const InodePtr& inode, const wire::Attr& attr);
  [[nodiscard]] struct stat shown_stat(Inode& inode, const wire::Attr& attr) const;
  static void show_names_changed(Inode& directory, wire::Attr& shown)
      CPAWAY_REQUIRES(directory.mutex);
  // A name came or went here of which the agent hears later.
  void note_new_names(Inode& directory);
  [[nodiscard]] fuse_entry_param entry_of(Inode& inode, const wire::Attr& attr) const;
  // Attributes for now: local where they are known, else the agent's.
  // What is asked for: the file, whoever has its name, or what the name means; ESTALE where these
  // are not the same. (What was removed here has no name.)
  enum class Meant : uint8_t { file, name };
  void with_attr(const InodePtr& inode, AttrDone done, Meant meant = Meant::file);
  // Of a directory; its times, size and number of links may be outdated.
  void with_access(const InodePtr& directory, AttrDone done);
  void fetch_attr(const InodePtr& inode, Meant meant, AttrDone done);
  void fetch_elsewhere(const InodePtr& inode, Meant meant, Result<wire::Attr> named,
                       const AttrDone& done);
  [[nodiscard]] static bool is_elsewhere(Inode& inode, const Result<wire::Attr>& named);
  [[nodiscard]] static Result<wire::Attr> last_attr(Inode& inode);
  // Keeps what the agent said, unless the inode was changed through the mount since `change_count`.
  void remember_attr(const InodePtr& inode, const wire::Attr& attr, uint64_t change_count);
  [[nodiscard]] std::optional<wire::Attr> known_attr(const InodePtr& inode);

  // ---- changes of attributes (vfs_setattr.cc)
  void setattr_staged(const Reply& reply, const InodePtr& inode, const wire::SetAttr& change,
                      const StagedUse& use);
  [[nodiscard]] bool gives_away(Inode& inode, const wire::SetAttr& change) const;
  [[nodiscard]] bool takes_group(Inode& inode, const wire::SetAttr& change) const;
  [[nodiscard]] wire::Attr keep_change(Inode& inode, const wire::SetAttr& change, uint64_t size);
  void setattr_remote(const Reply& reply, const InodePtr& inode, const wire::SetAttr& change,
                      bool is_open);
  void send_setattr(const Reply& reply, const InodePtr& inode, const wire::SetAttr& change,
                    bool is_open);
  // A directory of this mode is closed to the login user, who owns it.
  [[nodiscard]] bool closes(uint32_t mode) const;
  [[nodiscard]] std::vector<InodePtr> open_below(const InodePtr& directory) const;
  void bring_back(const InodePtr& directory);
  // Before a directory is closed to the login user: what is open below it is used on. Not what a
  // copying program writes, which must not show as half a file.
  void bring_in(const InodePtr& directory, StatusDone done);
  // Before a change of mode: what is open is used on, whatever the new mode says.
  void hold_for_mode(const InodePtr& inode, const std::optional<uint32_t>& mode);

  // ---- changes to directories (vfs_name.cc)
  template <class Request>
  void make_entry(const Reply& reply, const InodePtr& parent, std::string_view name,
                  const Request& request);
  [[nodiscard]] std::optional<wire::Owner> owner_of_new(const Reply& reply) const;
  // Files that are in it on the mount only.
  [[nodiscard]] bool holds_staged(const Inode& directory) const;
  void rmdir_remote(const Reply& reply, const InodePtr& parent, const std::string& name,
                    const std::string& path);
  void hide_left(const Inode& directory, Job done);
  void forget_attr(const InodePtr& inode);
  void forget_times(const InodePtr& inode);

  // ---- rename (vfs_rename.cc)
  class HeldUploads;
  struct RenameJob {
    Reply reply;
    InodePtr from;  // directory
    std::string name;
    InodePtr to;  // directory
    std::string new_name;
    unsigned flags = 0;
    std::vector<InodePtr> trees;  // the directories that get another name
    int rounds = 0;
    std::shared_ptr<HeldUploads> held;
    std::shared_ptr<const void> barrier;  // commits wait for its end
    StagedUse target_use;

    [[nodiscard]] bool exchanges() const;
  };
  // Of directories that get another name.
  [[nodiscard]] std::vector<InodePtr> all_staged() const;
  [[nodiscard]] std::vector<InodePtr> staged_below(const std::vector<InodePtr>& trees) const;
  // One after the other, to the first failure.
  void commit_all(std::vector<InodePtr> files, StatusDone done);
  void hold_trees(RenameJob job);
  void use_all(std::vector<InodePtr> files, std::shared_ptr<HeldUploads> held, Job done);
  static void hold_all(std::shared_ptr<HeldUploads> held, size_t first, const Job& done);
  [[nodiscard]] bool is_below(const std::string& path, const Inode& tree) const;
  [[nodiscard]] std::shared_ptr<const void> begin_tree_rename(const std::vector<InodePtr>& trees);
  void end_tree_rename(const std::vector<InodePtr>& trees);
  void release_upload(const InodePtr& inode, upload::Upload& upload);
  void tell_moved(const RenameJob& job);
  void rename_settled(const RenameJob& job);
  void rename_remote(const RenameJob& job, const InodePtr& source, const InodePtr& target);
  void rename_remote_file(const InodePtr& source, const std::string& new_path);
  void lose_to_rename(const InodePtr& directory, const InodePtr& target);

  // ---- unlink (vfs_unlink.cc)
  void unlink_known(const Reply& reply, const InodePtr& parent, const InodePtr& inode,
                    const std::string& name);
  void unlink_remote(const Reply& reply, const InodePtr& parent, const std::string& name,
                     const InodePtr& inode, const StagedUse& use);
  void lose_name(Inode& inode, const Inode& parent) CPAWAY_REQUIRES(inode.mutex);
  [[nodiscard]] bool may_delay(const wire::Attr& parent, const wire::Attr& attr) const;
  void delay_unlink(const Reply& reply, const InodePtr& parent, const InodePtr& inode,
                    const std::string& name, const wire::Attr& attr);
  void carry_out(const PendingUnlink& pending);
  void give_back(const PendingUnlink& pending);
  void forget_unlink(Inode& inode);

  // ---- open files (vfs_open.cc)
  [[nodiscard]] std::shared_ptr<OpenFile> find_file(const Reply& reply, uint64_t handle);
  // Registers the open file and answers; takes everything back where the kernel is not interested.
  void reply_open(const Reply& reply, const std::shared_ptr<OpenFile>& file,
                  const fuse_file_info& info);
  // The same for one that has just emptied a staged file: taken back, nothing of it is committed.
  void reply_open_emptied(const Reply& reply, const std::shared_ptr<OpenFile>& file,
                          const fuse_file_info& info, bool was_abandoned);
  [[nodiscard]] std::shared_ptr<OpenFile> add_open_file(const InodePtr& inode, bool writes,
                                                        int flags);
  [[nodiscard]] std::shared_ptr<OpenFile> add_open_file_locked(const InodePtr& inode, bool writes,
                                                               int flags)
      CPAWAY_REQUIRES(inode->mutex);
  [[nodiscard]] bool keep_cache(const InodePtr& inode, const wire::Attr& attr);
  void open_staged(const Reply& reply, const InodePtr& inode, const fuse_file_info& info,
                   const StagedUse& use, bool copying);
  // Of a staged file: a time of change that a program has set is its time no more.
  void note_new_content(Inode& inode) CPAWAY_REQUIRES(inode.mutex);
  // A program goes on with a staged file that another may have been killed over. Not one that has
  // been let go by an interrupt: its own end may have been seen already.
  static void revive(Inode& inode, const Reply& reply) CPAWAY_REQUIRES(inode.mutex);
  void close_file(const std::shared_ptr<OpenFile>& file);
  // ETXTBSY: a program that runs would be truncated.
  [[nodiscard]] static bool is_busy(const Inode& inode, int flags) CPAWAY_REQUIRES(inode.mutex);
  void open_known(const Reply& reply, const InodePtr& inode, const wire::Attr& attr,
                  const fuse_file_info& file, bool copying);
  void open_truncating(const Reply& reply, const InodePtr& inode, const wire::Attr& attr,
                       const wire::Attr& parent, const fuse_file_info& file, bool copying);
  static void note_truncated(const InodePtr& inode);
  static void note_opened(Staged& staged, int flags);
  void refuse_open(const Reply& reply, const InodePtr& inode, const Error& error);
  void open_writing(const Reply& reply, const InodePtr& inode, const wire::Attr& attr,
                    const fuse_file_info& file, bool truncate);
  void create_known(const Reply& reply, const InodePtr& parent, const wire::Attr& parent_attr,
                    const std::string& name, const InheritedAcl& inherited,
                    const fuse_file_info& file);
  void create_in_place(const Reply& reply, const InodePtr& parent, const std::string& name,
                       uint32_t mode, const fuse_file_info& info);
  void reply_made(const Reply& reply, const InodePtr& parent, const std::string& name,
                  const wire::Attr& attr, uint32_t handle, const fuse_file_info& info);
  using AclDone = std::function<void(Result<std::optional<Bytes>>)>;
  void with_default_acl(const InodePtr& directory, const wire::Attr& attr, AclDone done);
  // Of a staged file: `mode` lacks bits that its content was trusted with.
  static void drop_privileges(Inode& inode, uint32_t mode) CPAWAY_REQUIRES(inode.mutex);
  void stage(Inode& inode, std::shared_ptr<upload::Upload> upload, bool is_new, bool exclusive)
      CPAWAY_REQUIRES(inode.mutex);
  [[nodiscard]] upload::Context upload_context();
  void read_remote(const Reply& reply, const std::shared_ptr<OpenFile>& file, uint64_t offset,
                   uint32_t size);

  // ---- handles at the agent (vfs_handle.cc)
  [[nodiscard]] uint32_t next_handle() { return next_handle_++; }
  [[nodiscard]] std::optional<wire::Open> open_request(const InodePtr& inode, uint32_t flags);
  void send_open(const wire::Open& request);
  // Opens the file at the agent for reading, unless it is open at this version.
  [[nodiscard]] Result<uint32_t> read_handle(OpenFile& file);
  // The in-place writer, opened at the agent on its first use.
  [[nodiscard]] Result<std::shared_ptr<upload::InPlaceWriter>> in_place_writer(
      const InodePtr& inode);
  // What a writer was opened for: another version, or none kept any more, and it is not the file's.
  struct WriterBase {
    uint64_t version;
    uint32_t kept_handle;
  };
  [[nodiscard]] static WriterBase writer_base(const Inode& inode) CPAWAY_REQUIRES(inode.mutex);
  // Writes by a handle that is open at the agent, unless there is a writer already. Nullptr, and
  // the handle closed, where the inode has gone on from `base`.
  std::shared_ptr<upload::InPlaceWriter> adopt_writer(const InodePtr& inode, uint32_t handle,
                                                      uint64_t known_size, const WriterBase& base);
  [[nodiscard]] static uint32_t take_writer_handle(Inode& inode) CPAWAY_REQUIRES(inode.mutex);
  // For a new version, which `handle` has open, or 0. Gives what is to be closed, 0 among it.
  [[nodiscard]] static std::vector<uint32_t> replace_handles(Inode& inode, uint32_t handle)
      CPAWAY_REQUIRES(inode.mutex);
  void close_remote(uint32_t handle);
  void retire_writer(const InodePtr& inode);
  void reopen_kept(client::Requester& agent, const InodePtr& inode, uint32_t kept,
                   const std::string& path);
  // Before a name or the right to open it goes: what is open here is opened there.
  void hold_open(const InodePtr& inode);

  // ---- parts of files (vfs_range.cc)
  // Null where nothing is staged.
  [[nodiscard]] static std::shared_ptr<upload::Upload> staged_upload(const InodePtr& inode);
  // What is known of the file's attributes and content does not hold any more.
  void note_change(const InodePtr& inode, const Reply& reply);
  // In-place writing's handle at the agent, opened where it is not.
  [[nodiscard]] Result<uint32_t> writer_handle(const InodePtr& inode);
  void seek_remote(const Reply& reply, const std::shared_ptr<OpenFile>& file, uint64_t offset,
                   bool hole);
  void copy_settled(const Reply& reply, const std::shared_ptr<OpenFile>& file, uint32_t source,
                    const CopyRequest& request, const StagedUse& use);

  // ---- the end of a staged upload (vfs_commit.cc)
  // Runs `job` now, or when the commit in progress has ended. The next commit waits for the job,
  // and for what keeps its StagedUse.
  void when_settled(const InodePtr& inode, SettledJob job);
  [[nodiscard]] StagedUse use_staged(const InodePtr& inode) CPAWAY_REQUIRES(inode->mutex);
  void end_use(const InodePtr& inode, const std::shared_ptr<upload::Upload>& upload);
  // Commits what is staged, if anything is and it has a name.
  // With `unused`, only where is_unused() holds for it.
  void commit(const InodePtr& inode, bool durable, StatusDone done,
              const upload::Upload* unused = nullptr);
  [[nodiscard]] static bool is_unused(const Inode& inode, const upload::Upload* staged)
      CPAWAY_REQUIRES(inode.mutex);
  static void take_up_again(Staged& staged, const OpenFile* by);
  void start_commit(const InodePtr& inode, bool durable, StatusDone done);
  static void forget_touches(Inode& inode) CPAWAY_REQUIRES(inode.mutex);
  // `handle` has the new version open at the agent; 0: none has.
  void finish_commit(const InodePtr& inode, Result<wire::CommitAnswer> answer, uint32_t handle,
                     const StatusDone& done);
  static void note_committed(Inode& inode, const wire::CommitAnswer& answer)
      CPAWAY_REQUIRES(inode.mutex);
  // Gives up what is staged: the old file, or nothing, is what the mount shows again.
  void abandon(const InodePtr& inode, const upload::Upload* unused = nullptr);
  void vanish(const InodePtr& inode);
  void end_writing(const InodePtr& inode);
  [[nodiscard]] bool is_committing() const;
  // Everything written in place is acknowledged; `done` gets the failure, which is told once: for
  // flush and fsync.
  void drain_in_place(const InodePtr& inode, StatusDone done);
  // For all others: the failure stays.
  void wait_in_place(const InodePtr& inode, Job done);

  void flush_data(const std::shared_ptr<OpenFile>& file, const Closing& closing, StatusDone done);

  // ---- locks (vfs_lock.cc)
  using OpenFilePtr = std::shared_ptr<OpenFile>;
  // Brings a staged file to where others can see its locks, then calls `done`.
  void settle_for_lock(const InodePtr& inode, StatusDone done);
  // The end of it, once nothing is under way on what is staged; `committing` is set.
  void settle_staged(const InodePtr& inode, StatusDone done);
  void settle_untouched(const InodePtr& inode, bool is_new, StatusDone done);
  void create_for_lock(const InodePtr& inode, StatusDone done);
  void adopt_remote(const InodePtr& inode, const Result<wire::Attr>& attr, uint32_t handle,
                    const StatusDone& done);
  [[nodiscard]] Result<LockOwnerPtr> lock_owner(const OpenFilePtr& file,
                                                const LockRequest& request);
  void send_open_lock(client::Requester& agent, const LockOwnerPtr& owner, wire::Target target);
  void lock(const Reply& reply, const OpenFilePtr& file, const LockRequest& request);
  void lock_settled(const Reply& reply, const OpenFilePtr& file, const LockRequest& request);
  void lock_local(const Reply& reply, const LockOwnerPtr& owner, const LockRequest& request,
                  std::shared_ptr<std::atomic<bool>> interrupted);
  void lock_remote(const Reply& reply, const OpenFilePtr& file, const LockOwnerPtr& owner,
                   const LockRequest& request, int tries);
  void lock_again(const Reply& reply, const OpenFilePtr& file, const LockRequest& request);
  void refuse_lock(const Reply& reply, const LockOwnerPtr& owner, const LockRequest& request,
                   const Error& error);
  // What others have written before the lock was had is seen after it. `change_count`: of the inode
  // when the lock was asked for.
  void see_changes(const InodePtr& inode, const wire::Lock::Answer& answer, uint64_t change_count,
                   Job done);
  void unlock(const Reply& reply, const LockOwnerPtr& owner, const LockRequest& request);
  void unlock_remote(const LockOwnerPtr& owner, const LockRange& range, StatusDone done);
  [[nodiscard]] bool may_be_closed(const LockOwnerPtr& owner, const LockRequest& request,
                                   int tries) const;
  void test_lock(const Reply& reply, const OpenFilePtr& file, const LockRequest& request,
                 int tries);
  void test_lock_settled(const Reply& reply, const OpenFilePtr& file, const LockRequest& request,
                         int tries);
  void release_locks(const std::vector<LockOwnerPtr>& owners, Job done);
  void lose_locks(const LockOwnerPtr& owner, const Error& why);
  void reopen_locks(client::Requester& agent);
  [[nodiscard]] bool is_near_locks(const Inode& inode) const;

  // ---- directories (vfs_dir.cc)
  void fetch_page(const Reply& reply, const std::shared_ptr<DirStream>& stream, uint64_t offset,
                  size_t size, bool plus);
  void reply_page(const Reply& reply, const std::shared_ptr<DirStream>& stream, uint64_t offset,
                  size_t size, bool plus);
  void add_staged_entries(DirStream& stream) CPAWAY_REQUIRES(stream.mutex);
  struct Page {
    std::vector<char> bytes;
    size_t used = 0;
    std::vector<uint64_t> counted;  // inodes of which the page counts a lookup
  };
  [[nodiscard]] InodePtr intern_listed(const DirStream& stream, size_t index, wire::Attr& shown)
      CPAWAY_REQUIRES(stream.mutex);
  void add_entries(DirStream& stream, std::vector<wire::DirEntry> entries)
      CPAWAY_REQUIRES(stream.mutex);
  void fill_page(Page& page, const DirStream& stream, uint64_t offset, bool plus)
      CPAWAY_REQUIRES(stream.mutex);

  // ---- inode flags (vfs_flags.cc)
  void get_flags(const Reply& reply, const InodePtr& inode, bool extended);
  void set_flags(const Reply& reply, const InodePtr& inode, uint32_t flags);

  // ---- xattrs (vfs_xattr.cc)
  // The file has no such attribute, by what is known of it.
  [[nodiscard]] static bool surely_lacks(const Inode& inode, std::string_view name)
      CPAWAY_REQUIRES(inode.mutex);
  void reply_changed(const Reply& reply, const InodePtr& inode, std::string_view name);
  [[nodiscard]] int error_without_file(Inode& inode, std::string_view name, uint8_t wanted) const;
  void removexattr_staged(const Reply& reply, const InodePtr& inode, const std::string& name,
                          const StagedUse& use);
  void removexattr_kept(const Reply& reply, const InodePtr& inode, const std::string& name,
                        const StagedUse& use);
  void setxattr_staged(const Reply& reply, const InodePtr& inode, const wire::Xattr& xattr,
                       int flags, const StagedUse& use);
  void keep_judged(const Reply& reply, const InodePtr& inode, const wire::Xattr& xattr, int flags,
                   const Result<wire::GetXattr::Answer>& old, const StagedUse& use);
  [[nodiscard]] int judge_staged(Inode& inode, const std::string& name, int flags,
                                 bool old_has_it) const;
  void keep_xattr(Inode& inode, const wire::Xattr& xattr);
  static void reply_value(const Reply& reply, ByteSpan value, size_t size);
  void reply_sha256(const Reply& reply, const InodePtr& inode, size_t size);
  void reply_state(const Reply& reply, const InodePtr& inode, size_t size);

  const Options options_;
  client::Requester& agent_;
  upload::Journal& journal_;
  Notifier& notifier_;
  const AttrMap map_;
  StagedInodes staged_inodes_;
  InodeTable inodes_;
  HandleTable<OpenFile> files_;
  HandleTable<DirStream> dirs_;
  TransferList transfers_;
  LockTable locks_;
  std::atomic<uint32_t> next_ticket_{1};
  std::atomic<uint32_t> next_handle_{1};
  upload::Window window_;
  Timer timer_;
  RemoteClock remote_clock_;
  PendingUnlinks pending_unlinks_;

  Mutex tree_mutex_;
  std::vector<InodePtr> renamed_trees_ CPAWAY_GUARDED_BY(tree_mutex_);  // just now
  std::vector<Job> after_tree_rename_ CPAWAY_GUARDED_BY(tree_mutex_);

  std::atomic<bool> some_out_of_reach_{false};  // Inode::out_of_reach, at some time
  std::atomic<uint32_t> finishing_{0};          // commits whose programs are being told
  Mutex drain_mutex_;
  CondVar drained_;  // a commit has ended

  // Last, so that its threads end before what they use.
  Executor workers_;
};

}  // namespace cpaway::fs
