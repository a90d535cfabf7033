// The file beside a target that receives its next version.
#pragma once

#include <string>
#include <vector>

#include "engine/agent/file_access.h"

namespace cpaway::agent {

// A file under a staging name, removed at the end unless it got its final name or is kept. Movable;
// one thread at a time. While it is open an flock(2) on it tells others that it is in use.
class StagingFile {
 public:
  // A new one beside `path`, mode 0600. Errors as of open(2).
  [[nodiscard]] static Result<StagingFile> create(const Root& root, const std::string& path);
  // The one that belongs to `path`: taken over with what it holds where an upload has left it, else
  // named only (fd() is -1) and made by ensure(). With `name` that one, whoever has it locked, or
  // ENOENT; EPERM for what no upload of this user can have left. EACCES or EROFS where the
  // directory may not be written.
  [[nodiscard]] static Result<StagingFile> find(const Root& root, const std::string& path,
                                                const std::string& name);
  // A new one that is named only.
  [[nodiscard]] static Result<StagingFile> plan(const Root& root, const std::string& path);
  StagingFile(StagingFile&& other) noexcept;
  StagingFile& operator=(StagingFile&&) = delete;
  ~StagingFile();

  // Makes the file where it is not there yet; under another name where that one is taken by now.
  // EBADF where another upload has made one of the name that find() gave.
  [[nodiscard]] Status ensure();
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  // What it held when it was found, bytes.
  [[nodiscard]] uint64_t kept_size() const { return kept_size_; }
  // It has got an extended attribute that it is not to keep.
  void note_tried(std::string name) { tried_.push_back(std::move(name)); }
  [[nodiscard]] const std::vector<std::string>& tried() const { return tried_; }
  // Takes its name away, while it is open.
  [[nodiscard]] Status hide();
  // Leaves it for the next upload.
  void keep();
  // Takes the final name, over a file that has it; with `exclusive` EEXIST where the name is taken.
  [[nodiscard]] Status rename_to(const Location& to, bool exclusive);

 private:
  static constexpr uint32_t kMode = 0600;

  StagingFile() = default;
  [[nodiscard]] static Result<StagingFile> with_name(const Root& root, const std::string& path,
                                                     std::string name);
  [[nodiscard]] Status take_over(bool whoever_has_it);
  // Locks it, if it can be locked. False where somebody else has it.
  [[nodiscard]] bool lock(int fd);
  // True where the name means this file, and not another one or none.
  [[nodiscard]] bool has_name(int fd) const;
  // For filesystems that know no RENAME_NOREPLACE.
  [[nodiscard]] Status link_to(const Location& to);
  void become_file();

  UniqueFd dir_;
  std::string name_;  // empty once it has its final name
  UniqueFd fd_;
  bool locked_ = false;
  bool is_answered_ = false;  // the client was told the name
  uint64_t kept_size_ = 0;
  std::vector<std::string> tried_;
};

}  // namespace cpaway::agent
