#include "fs/attr_map.h"

#include <ctime>

namespace cpaway::fs {
namespace {
// Programs copy in pieces of this size where they ask the filesystem: one request to the mount.
constexpr blksize_t kPreferredBlockSize = 1 << 20;
}  // namespace

AttrMap::AttrMap(const Options& options, uint32_t remote_uid, uint32_t remote_gid,
                 uint32_t local_uid, uint32_t local_gid)
    : map_user_(options.idmap == IdMap::user),
      uid_(options.uid),
      gid_(options.gid),
      hidden_bits_(options.umask.value_or(0) & 0777U),
      remote_uid_(remote_uid),
      remote_gid_(remote_gid),
      local_uid_(local_uid),
      local_gid_(local_gid) {}

struct stat AttrMap::to_stat(const wire::Attr& attr, uint64_t shown_ino) const {
  struct stat out {};
  out.st_ino = shown_ino;
  out.st_mode = attr.mode & ~hidden_bits_;
  out.st_nlink = attr.nlink;
  const bool own_user = map_user_ && attr.uid == remote_uid_;
  const bool own_group = map_user_ && attr.gid == remote_gid_;
  out.st_uid = uid_ ? *uid_ : (own_user ? local_uid_ : attr.uid);
  out.st_gid = gid_ ? *gid_ : (own_group ? local_gid_ : attr.gid);
  out.st_rdev = attr.rdev;
  out.st_size = static_cast<off_t>(attr.size);
  out.st_blksize = kPreferredBlockSize;
  out.st_blocks = static_cast<blkcnt_t>(attr.blocks);
  out.st_atim = to_timespec(attr.atime);
  out.st_mtim = to_timespec(attr.mtime);
  out.st_ctim = to_timespec(attr.ctime);
  return out;
}

uint32_t AttrMap::uid_to_remote(uint32_t uid) const {
  return map_user_ && uid == local_uid_ ? remote_uid_ : uid;
}

uint32_t AttrMap::gid_to_remote(uint32_t gid) const {
  return map_user_ && gid == local_gid_ ? remote_gid_ : gid;
}

uint8_t AttrMap::access_of_own(uint32_t mode) const {
  if (remote_uid_ == 0) {
    return static_cast<uint8_t>(wire::kMayRead | wire::kMayWrite |
                                ((mode & 0111U) != 0 ? wire::kMayExecute : 0));
  }
  return static_cast<uint8_t>((mode >> 6U) & 7U);
}

wire::Time now_time() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);  // as the kernel does
  return from_timespec(now);
}

timespec to_timespec(const wire::Time& time) {
  return {static_cast<time_t>(time.seconds), static_cast<long>(time.nanoseconds)};
}

wire::Time from_timespec(const timespec& time) {
  return {time.tv_sec, static_cast<uint32_t>(time.tv_nsec)};
}

}  // namespace cpaway::fs
