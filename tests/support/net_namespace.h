// Network namespaces without names: each lives as long as a descriptor or a process holds it, so
// whatever way a test ends, nothing is left. Needs root.
#pragma once

#include <string>

#include "engine/base/fd.h"

namespace cpaway::testing {

// While it lives, this thread, and what it starts, is in another network namespace. Sockets stay
// where they were made. Aborts where that cannot be done.
class NetNamespaceScope {
 public:
  // `path` as nsenter --net=PATH takes it; "" changes nothing.
  explicit NetNamespaceScope(const std::string& path);
  ~NetNamespaceScope();
  NetNamespaceScope(const NetNamespaceScope&) = delete;
  NetNamespaceScope& operator=(const NetNamespaceScope&) = delete;

 private:
  UniqueFd before_;
};

// Moves this thread into a new, empty one, which the descriptor holds.
[[nodiscard]] Result<UniqueFd> enter_new_net_namespace();
// Where others of this user's programs find what a descriptor of this process is open on.
[[nodiscard]] std::string path_of_fd(int fd);

}  // namespace cpaway::testing
