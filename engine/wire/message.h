// The messages of the protocol: one struct each, fields in the order of engine/PROTOCOL.md.
//
// Paths are relative to the directory that hello named; "" is that directory itself. A path has no
// leading slash, no NUL, no empty, "." or ".." component (valid_path). Times are as of statx(2).
// A request names its operation in kOp and what the answer holds in Answer; bulk data that follows
// the fields is noted as "bulk:".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/hash/block_hash.h"
#include "engine/hash/digest.h"
#include "engine/wire/codec.h"
#include "engine/wire/fields.h"
#include "engine/wire/op.h"

namespace cpaway::wire {

inline constexpr uint32_t kMagic = 0x43504157;  // "CPAW"
inline constexpr uint16_t kVersion = 1;
// The agent prints this line alone before it speaks the protocol; what a login shell printed
// before is skipped, up to kMaxNoise bytes.
inline constexpr std::string_view kStartMarker = "\ncpaway-agent-ready-7f2c9e41\n";
inline constexpr size_t kMaxNoise = 256UL * 1024;

// ---- connection

struct Hello {
  using Self = Hello;
  static constexpr Op kOp = Op::hello;
  uint32_t magic = kMagic;
  uint16_t min_version = kVersion;
  uint16_t max_version = kVersion;
  uint64_t features = 0;     // bits that the client can use; none are defined yet
  std::string directory;     // "" and relative ones start at the login directory
  bool sync_commit = false;  // every commit reaches the disk before it is answered
  CPAWAY_FIELDS(magic, min_version, max_version, features, directory, sync_commit);

  struct Answer {
    using Self = Answer;
    uint16_t version = 0;
    uint64_t features = 0;  // the bits that both sides can use
    std::string agent_version;
    std::string directory;  // absolute, resolved
    uint32_t uid = 0;
    uint32_t gid = 0;
    Attr root;
    Time now;  // by the clock of the agent's host, as all of these
    CPAWAY_FIELDS(version, features, agent_version, directory, uid, gid, root, now);
  };
};

struct Ping {
  using Self = Ping;
  static constexpr Op kOp = Op::ping;
  template <class Visitor>
  void visit(Visitor& /*visitor*/) const {}
  struct Answer {
    using Self = Answer;
    Time now;
    CPAWAY_FIELDS(now);
  };
};

// ---- transfers. The client chooses the transfer id, so that blocks follow without waiting.

// Begins a transfer to `path`, with the staging file that an earlier one has left, if one has.
struct Init {
  using Self = Init;
  static constexpr Op kOp = Op::init;
  uint32_t transfer = 0;
  std::string path;
  std::string staging_name;  // "", or after a lost connection the name answered then
  CPAWAY_FIELDS(transfer, path, staging_name);
  struct Answer {
    using Self = Answer;
    std::string staging_name;  // a name in the target's directory
    uint64_t kept_size = 0;    // bytes that the staging file has already
    CPAWAY_FIELDS(staging_name, kept_size);
  };
};

struct TransferStatus {
  using Self = TransferStatus;
  static constexpr Op kOp = Op::status;
  uint32_t transfer = 0;
  CPAWAY_FIELDS(transfer);
  struct Answer {
    using Self = Answer;
    std::string path;
    uint64_t bytes_received = 0;
    uint64_t bytes_acknowledged = 0;
    uint64_t size = 0;          // of the staging file
    uint64_t bytes_hashed = 0;  // of its start, by the running SHA-256
    CPAWAY_FIELDS(path, bytes_received, bytes_acknowledged, size, bytes_hashed);
  };
};

// Ends a transfer.
struct Cancel {
  using Self = Cancel;
  static constexpr Op kOp = Op::cancel;
  uint32_t transfer = 0;
  bool keep = false;  // leave the staging file for the next upload
  CPAWAY_FIELDS(transfer, keep);
  using Answer = Empty;
};

// bulk: the bytes, 1 to kBlockSize. Answered by ack, or by a reply that holds an error.
struct Block {
  using Self = Block;
  static constexpr Op kOp = Op::block;
  uint32_t transfer = 0;
  uint64_t offset = 0;
  hash::BlockHash hash{};
  CPAWAY_FIELDS(transfer, offset, hash);
  struct Answer {  // the payload of ack
    using Self = Answer;
    uint64_t offset = 0;
    uint32_t size = 0;
    hash::BlockHash hash{};  // of what was read back from the staging file
    CPAWAY_FIELDS(offset, size, hash);
  };
};

inline constexpr uint8_t kStagingBasis = 0;  // the staging file, as init found it
inline constexpr uint8_t kMaxBasis = 8;
inline constexpr uint8_t kLiteral = 0xff;

// Opens a file that the transfer may copy from, as number 1 to kMaxBasis.
struct AddBasis {
  using Self = AddBasis;
  static constexpr Op kOp = Op::basis;
  uint32_t transfer = 0;
  uint8_t basis = 0;
  std::string path;
  CPAWAY_FIELDS(transfer, basis, path);
  using Answer = Attr;
};

// Answer's bulk: the packed list of the chunks that a basis holds from `offset` on.
struct ListChunks {
  using Self = ListChunks;
  static constexpr Op kOp = Op::chunks;
  static constexpr uint32_t kMaxSize = 64U << 20U;
  uint32_t transfer = 0;
  uint8_t basis = 0;
  uint64_t offset = 0;
  uint32_t size = 0;  // bytes to be listed at least, up to kMaxSize
  // Sizes of chunks; with average 0 every chunk has `max` bytes.
  uint32_t min = 0;
  uint32_t average = 0;
  uint32_t max = 0;
  CPAWAY_FIELDS(transfer, basis, offset, size, min, average, max);
  using Answer = Empty;
};

// A part of a block: `size` bytes from a basis, or literal.
struct Segment {
  using Self = Segment;
  uint8_t basis = kLiteral;
  uint32_t size = 0;
  uint64_t offset = 0;  // in the basis
  CPAWAY_FIELDS(basis, size, offset);
};

inline constexpr uint8_t kPlain = 0;
inline constexpr uint8_t kZstd = 1;

// A block put together from segments. bulk: the literal ones' bytes, in `coding`. Answered as
// Block is.
struct DeltaBlock {
  using Self = DeltaBlock;
  static constexpr Op kOp = Op::delta_block;
  uint32_t transfer = 0;
  uint64_t offset = 0;
  uint32_t size = 0;  // of the block, 1 to kBlockSize
  hash::BlockHash hash{};
  uint8_t coding = kPlain;
  std::vector<Segment> segments;
  CPAWAY_FIELDS(transfer, offset, size, hash, coding, segments);
  using Answer = Block::Answer;
};

// Removes staging files that uploads have left.
struct Collect {
  using Self = Collect;
  static constexpr Op kOp = Op::collect;
  std::string path;         // a directory
  uint64_t older_than = 0;  // seconds since the last change
  bool recursive = false;
  CPAWAY_FIELDS(path, older_than, recursive);
  struct Answer {
    using Self = Answer;
    uint32_t removed = 0;  // files
    uint64_t bytes = 0;    // that they held
    uint32_t kept = 0;     // files: younger, in use, or another user's
    CPAWAY_FIELDS(removed, bytes, kept);
  };
};

// To whom something new belongs, where the agent can give it away; the group only where the
// directory does not say otherwise (S_ISGID), and 2^32-1 leaves it.
struct Owner {
  using Self = Owner;
  uint32_t uid = 0;
  uint32_t gid = 0;
  CPAWAY_FIELDS(uid, gid);
};

// How a new version takes its name, in commit and put_file.
// What becomes of a regular file that has taken the name of a new one meanwhile.
inline constexpr uint8_t kJoinNot = 0;      // it is replaced
inline constexpr uint8_t kJoinAppend = 1;   // it gets the content at its end
inline constexpr uint8_t kJoinWrite = 2;    // what was written is written there
inline constexpr uint8_t kJoinEmptied = 3;  // the same, after it was emptied

struct Placement {
  using Self = Placement;
  std::string path;
  bool exclusive = false;  // EEXIST where the name is taken (RENAME_NOREPLACE); then no `join`
  uint8_t join = kJoinNot;
  bool fresh = false;  // a new file: an old version hands down nothing
  // Mode of a new file, exactly: the client has applied the program's umask or the directory's
  // default ACL, the agent applies none. Not used where an old version is replaced, whose owner,
  // mode, ACL and xattrs stay.
  uint32_t create_mode = 0644;
  SetAttr attr;  // size, atime_now and mtime_now are not used here
  std::vector<Xattr> xattrs;
  std::optional<Owner> owner = std::nullopt;  // `attr` outweighs it
  std::vector<std::string> dropped;           // xattrs that the old version does not hand down
  // Not 0: the new version is opened by it, for reading and writing whatever its mode says.
  uint32_t handle = 0;
  CPAWAY_FIELDS(path, exclusive, join, fresh, create_mode, attr, xattrs, owner, dropped, handle);
};

struct CommitAnswer {
  using Self = CommitAnswer;
  Attr attr;
  hash::Sha256Value sha256{};  // of the file that now has the name; zeros: not computed
  Time now;  // zero where the answer was lost, and the client has found the file committed
  bool is_open = false;  // by the placement's handle
  bool joined = false;   // the file was there, and has more in it than was sent
  CPAWAY_FIELDS(attr, sha256, now, is_open, joined);
};

struct Commit {
  using Self = Commit;
  static constexpr Op kOp = Op::commit;
  uint32_t transfer = 0;
  uint64_t size = 0;
  // What the client hashed as it was written; not there where parts were written over.
  std::optional<hash::Sha256Value> sha256;
  bool durable = false;  // fsync file and directory before answering
  Placement placement;
  CPAWAY_FIELDS(transfer, size, sha256, durable, placement);
  using Answer = CommitAnswer;
};

// A whole small file. bulk: its content, 0 to kBlockSize bytes.
struct PutFile {
  using Self = PutFile;
  static constexpr Op kOp = Op::put_file;
  hash::Sha256Value sha256{};
  bool durable = false;
  Placement placement;
  CPAWAY_FIELDS(sha256, durable, placement);
  using Answer = CommitAnswer;
};

struct TruncateTransfer {
  using Self = TruncateTransfer;
  static constexpr Op kOp = Op::truncate_transfer;
  uint32_t transfer = 0;
  uint64_t size = 0;
  CPAWAY_FIELDS(transfer, size);
  using Answer = Empty;
};

// Answer's bulk: what the staging file holds there, shorter at its end.
struct ReadTransfer {
  using Self = ReadTransfer;
  static constexpr Op kOp = Op::read_transfer;
  uint32_t transfer = 0;
  uint64_t offset = 0;
  uint32_t size = 0;  // up to kBlockSize
  CPAWAY_FIELDS(transfer, offset, size);
  using Answer = Empty;
};

// Where the staging file holds data, or a hole, from `offset` on (lseek(2)). ENXIO beyond its end.
struct SeekTransfer {
  using Self = SeekTransfer;
  static constexpr Op kOp = Op::seek_transfer;
  uint32_t transfer = 0;
  uint64_t offset = 0;
  bool hole = false;
  CPAWAY_FIELDS(transfer, offset, hole);
  struct Answer {
    using Self = Answer;
    uint64_t offset = 0;
    CPAWAY_FIELDS(offset);
  };
};

// Modes of fallocate(2).
inline constexpr uint32_t kKeepSize = 1;
inline constexpr uint32_t kPunchHole = 2;  // with kKeepSize only
inline constexpr uint32_t kZeroRange = 16;

struct AllocateTransfer {
  using Self = AllocateTransfer;
  static constexpr Op kOp = Op::allocate_transfer;
  uint32_t transfer = 0;
  uint32_t mode = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  CPAWAY_FIELDS(transfer, mode, offset, size);
  using Answer = Empty;
};

inline constexpr uint64_t kMaxCopySize = 64U << 20U;

struct CopyAnswer {
  using Self = CopyAnswer;
  uint64_t size = 0;  // shorter at the source's end, or where more would take long
  CPAWAY_FIELDS(size);
};

// Copies from an open file into the staging file, and compares what was read back.
struct CopyTransfer {
  using Self = CopyTransfer;
  static constexpr Op kOp = Op::copy_transfer;
  uint32_t transfer = 0;
  uint64_t offset = 0;
  uint32_t source = 0;  // a handle
  uint64_t source_offset = 0;
  uint64_t size = 0;
  CPAWAY_FIELDS(transfer, offset, source, source_offset, size);
  using Answer = CopyAnswer;
};

// Sets an extended attribute of the staging file, which commit will set again: whether it can be.
// With `remove` takes away what was set so, whatever its value.
struct TryXattr {
  using Self = TryXattr;
  static constexpr Op kOp = Op::try_xattr;
  uint32_t transfer = 0;
  Xattr xattr;
  bool remove = false;
  CPAWAY_FIELDS(transfer, xattr, remove);
  using Answer = Empty;
};

// The same for its group, which commit will set again.
struct TryGroup {
  using Self = TryGroup;
  static constexpr Op kOp = Op::try_group;
  uint32_t transfer = 0;
  uint32_t gid = 0;
  CPAWAY_FIELDS(transfer, gid);
  using Answer = Empty;
};

struct HideTransfer {
  using Self = HideTransfer;
  static constexpr Op kOp = Op::hide_transfer;
  uint32_t transfer = 0;
  CPAWAY_FIELDS(transfer);
  using Answer = Empty;
};

// ---- files

struct GetAttr {
  using Self = GetAttr;
  static constexpr Op kOp = Op::getattr;
  Target target;
  CPAWAY_FIELDS(target);
  using Answer = Attr;
};

struct SetAttrRequest {
  using Self = SetAttrRequest;
  static constexpr Op kOp = Op::setattr;
  Target target;
  SetAttr attr;
  CPAWAY_FIELDS(target, attr);
  using Answer = Attr;
};

struct ReadLink {
  using Self = ReadLink;
  static constexpr Op kOp = Op::readlink;
  std::string path;
  CPAWAY_FIELDS(path);
  struct Answer {
    using Self = Answer;
    std::string text;
    CPAWAY_FIELDS(text);
  };
};

struct MkNod {
  using Self = MkNod;
  static constexpr Op kOp = Op::mknod;
  std::string path;
  uint32_t mode = 0;
  uint64_t rdev = 0;
  std::optional<Owner> owner = std::nullopt;
  uint32_t umask = 0;  // of mode, where the directory has no default ACL
  CPAWAY_FIELDS(path, mode, rdev, owner, umask);
  using Answer = Attr;
};

struct MkDir {
  using Self = MkDir;
  static constexpr Op kOp = Op::mkdir;
  std::string path;
  uint32_t mode = 0;
  std::optional<Owner> owner = std::nullopt;
  uint32_t umask = 0;  // of mode, where the directory has no default ACL
  CPAWAY_FIELDS(path, mode, owner, umask);
  using Answer = Attr;
};

struct Unlink {
  using Self = Unlink;
  static constexpr Op kOp = Op::unlink;
  std::string path;
  CPAWAY_FIELDS(path);
  using Answer = Empty;
};

struct RmDir {
  using Self = RmDir;
  static constexpr Op kOp = Op::rmdir;
  std::string path;
  CPAWAY_FIELDS(path);
  using Answer = Empty;
};

struct SymLink {
  using Self = SymLink;
  static constexpr Op kOp = Op::symlink;
  std::string text;
  std::string path;
  std::optional<Owner> owner = std::nullopt;
  CPAWAY_FIELDS(text, path, owner);
  using Answer = Attr;
};

struct Rename {
  using Self = Rename;
  static constexpr Op kOp = Op::rename;
  std::string from;
  std::string to;
  uint32_t flags = 0;  // RENAME_NOREPLACE 1, RENAME_EXCHANGE 2
  CPAWAY_FIELDS(from, to, flags);
  using Answer = Empty;
};

struct Link {
  using Self = Link;
  static constexpr Op kOp = Op::link;
  Target from;
  std::string to;
  CPAWAY_FIELDS(from, to);
  using Answer = Attr;
};

// Open flags, not of any system.
inline constexpr uint32_t kOpenRead = 1;
inline constexpr uint32_t kOpenWrite = 2;
inline constexpr uint32_t kOpenTruncate = 4;
inline constexpr uint32_t kOpenDirectory = 8;
inline constexpr uint32_t kOpenSync = 16;     // O_SYNC
inline constexpr uint32_t kOpenCreate = 32;   // O_CREAT|O_EXCL with `mode`
inline constexpr uint32_t kOpenNoAtime = 64;  // O_NOATIME, where that is allowed

// The client chooses the handle (not 0, not in use), so that reads follow without waiting.
struct Open {
  using Self = Open;
  static constexpr Op kOp = Op::open;
  uint32_t handle = 0;
  std::string path;
  uint32_t flags = 0;
  uint32_t mode = 0;
  uint32_t source = 0;  // a handle: what that has open is opened anew, and not the path
  CPAWAY_FIELDS(handle, path, flags, mode, source);
  using Answer = Attr;
};

struct Close {
  using Self = Close;
  static constexpr Op kOp = Op::close;
  uint32_t handle = 0;
  CPAWAY_FIELDS(handle);
  using Answer = Empty;
};

// Answer's bulk: the bytes, shorter at the end of the file.
struct Read {
  using Self = Read;
  static constexpr Op kOp = Op::read;
  uint32_t handle = 0;
  uint64_t offset = 0;
  uint32_t size = 0;  // up to kBlockSize
  CPAWAY_FIELDS(handle, offset, size);
  using Answer = Empty;
};

// bulk: the bytes, 1 to kBlockSize.
struct Write {
  using Self = Write;
  static constexpr Op kOp = Op::write;
  uint32_t handle = 0;
  uint64_t offset = 0;
  hash::BlockHash hash{};
  CPAWAY_FIELDS(handle, offset, hash);
  struct Answer {
    using Self = Answer;
    hash::BlockHash hash{};  // of what was read back
    CPAWAY_FIELDS(hash);
  };
};

// At the file's end, wherever that is. bulk: the bytes, 1 to kBlockSize.
struct Append {
  using Self = Append;
  static constexpr Op kOp = Op::append;
  uint32_t handle = 0;
  uint64_t offset = 0;  // with `again`: where it is if it is there
  hash::BlockHash hash{};
  bool again = false;  // the answer to it was lost
  CPAWAY_FIELDS(handle, offset, hash, again);
  struct Answer {
    using Self = Answer;
    hash::BlockHash hash{};  // of what was read back
    uint64_t offset = 0;     // where it is
    CPAWAY_FIELDS(hash, offset);
  };
};

struct FSync {
  using Self = FSync;
  static constexpr Op kOp = Op::fsync;
  Target target;
  bool data_only = false;
  CPAWAY_FIELDS(target, data_only);
  using Answer = Empty;
};

struct DirEntry {
  using Self = DirEntry;
  std::string name;
  Attr attr;  // nlink 0: could not be read; then only ino and the type bits of mode are there
  CPAWAY_FIELDS(name, attr);
};

// The next entries of an open directory, without "." and ".." and without staging files.
struct ReadDir {
  using Self = ReadDir;
  static constexpr Op kOp = Op::readdir;
  uint32_t handle = 0;
  bool restart = false;  // from the first entry
  CPAWAY_FIELDS(handle, restart);
  struct Answer {
    using Self = Answer;
    bool end = false;  // nothing after these
    std::vector<DirEntry> entries;
    CPAWAY_FIELDS(end, entries);
  };
};

struct StatFs {
  using Self = StatFs;
  static constexpr Op kOp = Op::statfs;
  std::string path;
  CPAWAY_FIELDS(path);
  struct Answer {  // as statvfs(3)
    using Self = Answer;
    uint64_t block_size = 0;
    uint64_t fragment_size = 0;
    uint64_t blocks = 0;
    uint64_t blocks_free = 0;
    uint64_t blocks_available = 0;
    uint64_t files = 0;
    uint64_t files_free = 0;
    uint64_t name_max = 0;
    CPAWAY_FIELDS(block_size, fragment_size, blocks, blocks_free, blocks_available, files,
                  files_free, name_max);
  };
};

struct GetXattr {
  using Self = GetXattr;
  static constexpr Op kOp = Op::getxattr;
  Target target;
  std::string name;
  CPAWAY_FIELDS(target, name);
  struct Answer {
    using Self = Answer;
    Bytes value;
    CPAWAY_FIELDS(value);
  };
};

struct ListXattr {
  using Self = ListXattr;
  static constexpr Op kOp = Op::listxattr;
  Target target;
  CPAWAY_FIELDS(target);
  struct Answer {
    using Self = Answer;
    Bytes names;  // each ends in NUL, as listxattr(2) gives them
    CPAWAY_FIELDS(names);
  };
};

struct SetXattr {
  using Self = SetXattr;
  static constexpr Op kOp = Op::setxattr;
  Target target;
  Xattr xattr;
  uint32_t flags = 0;  // XATTR_CREATE 1, XATTR_REPLACE 2
  CPAWAY_FIELDS(target, xattr, flags);
  using Answer = Empty;
};

struct RemoveXattr {
  using Self = RemoveXattr;
  static constexpr Op kOp = Op::removexattr;
  Target target;
  std::string name;
  CPAWAY_FIELDS(target, name);
  using Answer = Empty;
};

// Inode flags as FS_IOC_GETFLAGS has them (ioctl_iflags(2)), of a regular file or directory, and
// the rest of FS_IOC_FSGETXATTR (ioctl_xfs_fsgetxattr(2)), sizes in bytes; ENOTTY where its
// filesystem has none.
struct GetFlags {
  using Self = GetFlags;
  static constexpr Op kOp = Op::getflags;
  Target target;
  CPAWAY_FIELDS(target);
  struct Answer {
    using Self = Answer;
    uint32_t flags = 0;
    uint32_t xflags = 0;
    uint32_t extent_size = 0;
    uint32_t extents = 0;
    uint32_t project = 0;
    uint32_t cow_extent_size = 0;
    CPAWAY_FIELDS(flags, xflags, extent_size, extents, project, cow_extent_size);
  };
};

struct SetFlags {
  using Self = SetFlags;
  static constexpr Op kOp = Op::setflags;
  Target target;
  uint32_t flags = 0;
  CPAWAY_FIELDS(target, flags);
  using Answer = Empty;
};

struct ChunkAt {
  using Self = ChunkAt;
  hash::BlockHash hash{};
  uint32_t size = 0;
  CPAWAY_FIELDS(hash, size);
};

// Which of these chunks, one behind the other from `offset` on, the file holds.
struct Compare {
  using Self = Compare;
  static constexpr Op kOp = Op::compare;
  static constexpr size_t kMaxChunks = 256;
  uint32_t handle = 0;
  uint64_t offset = 0;
  std::vector<ChunkAt> chunks;  // kBlockSize bytes at most in all
  CPAWAY_FIELDS(handle, offset, chunks);
  struct Answer {
    using Self = Answer;
    Bytes equal;  // 1 or 0 for each
    CPAWAY_FIELDS(equal);
  };
};

// As SeekTransfer, AllocateTransfer and CopyTransfer, on an open file.
struct Seek {
  using Self = Seek;
  static constexpr Op kOp = Op::seek;
  uint32_t handle = 0;
  uint64_t offset = 0;
  bool hole = false;
  CPAWAY_FIELDS(handle, offset, hole);
  using Answer = SeekTransfer::Answer;
};

struct Allocate {
  using Self = Allocate;
  static constexpr Op kOp = Op::allocate;
  uint32_t handle = 0;
  uint32_t mode = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  CPAWAY_FIELDS(handle, mode, offset, size);
  using Answer = Empty;
};

struct Copy {
  using Self = Copy;
  static constexpr Op kOp = Op::copy;
  uint32_t handle = 0;
  uint64_t offset = 0;
  uint32_t source = 0;  // a handle, perhaps the same
  uint64_t source_offset = 0;
  uint64_t size = 0;
  CPAWAY_FIELDS(handle, offset, source, source_offset, size);
  using Answer = CopyAnswer;
};

// The SHA-256 of a regular file as it is on the remote disk.
struct Digest {
  using Self = Digest;
  static constexpr Op kOp = Op::digest;
  Target target;
  CPAWAY_FIELDS(target);
  struct Answer {
    using Self = Answer;
    uint64_t size = 0;
    hash::Sha256Value sha256{};
    CPAWAY_FIELDS(size, sha256);
  };
};

}  // namespace cpaway::wire
