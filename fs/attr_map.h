// Remote attributes as local programs see them, and changes the other way.
#pragma once

#include <sys/stat.h>

#include "engine/wire/message.h"
#include "fs/options.h"

namespace cpaway::fs {

// Seconds for which the kernel may use attributes, names and the absence of a name without asking:
// there is no watch on the remote host that would tell of changes.
inline constexpr double kCacheSeconds = 1.0;
inline constexpr int64_t kCacheMs = 1000;

class AttrMap {
 public:
  // `remote_uid` and `remote_gid` are the login user's; `local_*` those of the mounting user.
  AttrMap(const Options& options, uint32_t remote_uid, uint32_t remote_gid, uint32_t local_uid,
          uint32_t local_gid);

  [[nodiscard]] struct stat to_stat(const wire::Attr& attr, uint64_t shown_ino) const;
  [[nodiscard]] uint32_t uid_to_remote(uint32_t uid) const;
  [[nodiscard]] uint32_t gid_to_remote(uint32_t gid) const;
  // What the login user may do with a file of its own, as Attr::access says it.
  [[nodiscard]] uint8_t access_of_own(uint32_t mode) const;
  // Whether the login user can open such a file for reading and for writing.
  [[nodiscard]] bool may_open_own(uint32_t mode) const {
    constexpr uint8_t kBoth = wire::kMayRead | wire::kMayWrite;
    return (access_of_own(mode) & kBoth) == kBoth;
  }
  [[nodiscard]] uint32_t remote_uid() const { return remote_uid_; }
  [[nodiscard]] uint32_t remote_gid() const { return remote_gid_; }

 private:
  const bool map_user_;
  const std::optional<uint32_t> uid_;
  const std::optional<uint32_t> gid_;
  const uint32_t hidden_bits_;  // umask option
  const uint32_t remote_uid_;
  const uint32_t remote_gid_;
  const uint32_t local_uid_;
  const uint32_t local_gid_;
};

// The clock that a local program would see in a new file's times.
[[nodiscard]] wire::Time now_time();
[[nodiscard]] timespec to_timespec(const wire::Time& time);
[[nodiscard]] wire::Time from_timespec(const timespec& time);

}  // namespace cpaway::fs
