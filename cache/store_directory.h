// The directory STATE/store: made, locked for one process, and set aside when it is damaged.
#pragma once

#include <string>

#include "engine/base/fd.h"
#include "engine/base/result.h"

namespace cpaway::cache {

class StoreDirectory {
 public:
  // `state` exists. EBUSY where another process, or another store of this one, holds it.
  [[nodiscard]] static Result<StoreDirectory> open(const std::string& state);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string data_file() const;
  // Makes LMDB's lock file anew, with room on the disk: LMDB would make a hole of it, and on a full
  // disk the first write into that hole is a SIGBUS.
  [[nodiscard]] Status make_lock_file() const;
  // Renames it to store.damaged, in place of an older one, and makes an empty one.
  [[nodiscard]] Status set_aside();

 private:
  StoreDirectory() = default;
  [[nodiscard]] Status make_and_lock();

  std::string state_;
  std::string path_;
  UniqueFd lock_;
};

}  // namespace cpaway::cache
