// From a path of the protocol to something that a system call can be given, and never outside.
//
// Every path starts at a descriptor of the mounted directory. Its parent is resolved beneath that
// directory without following any symbolic link (openat2; where the kernel or a seccomp filter
// refuses openat2, component by component with O_NOFOLLOW), and the calls then work on the last
// component with *at functions that do not follow it either. Mount points below are crossed: they
// are part of what the user sees. Rejected: chroot (needs root), realpath and compare (races).
#pragma once

#include <memory>
#include <string>

#include "engine/base/fd.h"
#include "engine/base/mutex.h"
#include "engine/base/result.h"

namespace cpaway::agent {

// A name in a directory; or, where `name` is empty, the descriptor `dir` itself. Movable.
struct Location {
  int dir = -1;  // of `owned` or of somebody who outlives this
  std::string name;
  UniqueFd owned;
  std::shared_ptr<const void> keeps_open;

  [[nodiscard]] bool is_descriptor() const { return name.empty(); }
  // AT_EMPTY_PATH for a descriptor, AT_SYMLINK_NOFOLLOW for a name.
  [[nodiscard]] int at_flags() const;
  // For calls that know no *at form: a path through /proc, for which `name` is not followed by the
  // l* functions, and which reaches a descriptor opened with O_PATH by the others.
  [[nodiscard]] std::string proc_path() const;
};

// The directory that hello named. Where it was removed, and another one made at its path, it is
// that one from then on. Any thread.
class Root {
 public:
  // `directory` is as in hello. With `confine` it must lie inside that one, and a relative one
  // starts there; EACCES where it does not.
  [[nodiscard]] static Result<Root> open(const std::string& confine, const std::string& directory);

  // EINVAL for what is no path of the protocol, else what the kernel says of its parent.
  [[nodiscard]] Result<Location> locate(const std::string& path) const;
  // The same, but the directory itself is refused with `root_errno`.
  [[nodiscard]] Result<Location> locate_name(const std::string& path, int root_errno) const;
  // Opens what is there (a symbolic link is ELOOP unless `flags` hold O_PATH).
  [[nodiscard]] Result<UniqueFd> open_path(const std::string& path, int flags) const;

  [[nodiscard]] const std::string& absolute() const { return absolute_; }

 private:
  using Directory = std::shared_ptr<const UniqueFd>;  // opened with O_PATH
  struct Current {
    Mutex mutex;
    Directory directory CPAWAY_GUARDED_BY(mutex);
  };

  [[nodiscard]] static Result<UniqueFd> open_directory(const std::string& confine,
                                                       const std::string& directory);
  [[nodiscard]] Result<Directory> directory() const;

  std::string confine_;
  std::string absolute_;
  std::unique_ptr<Current> current_ = std::make_unique<Current>();
};

// openat(2) of what `at` names: close-on-exec, never following, never waiting for a fifo.
[[nodiscard]] Result<UniqueFd> open_at(const Location& at, int flags, uint32_t mode = 0);
// A second descriptor of the directory that `at` lies in.
[[nodiscard]] Result<UniqueFd> duplicate_dir(const Location& at);
// Opens a directory below `dir` without following symbolic links, by openat2 or by walking; tests
// call both.
[[nodiscard]] Result<UniqueFd> open_beneath(int dir, const std::string& path);
[[nodiscard]] Result<UniqueFd> walk_beneath(int dir, const std::string& path);

}  // namespace cpaway::agent
