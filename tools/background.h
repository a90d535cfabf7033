// The two processes of a mount that goes into the background.
//
// The first forks before it has any thread and waits; the second connects (it may still ask at the
// terminal), mounts, and calls detach(), which lets the first end with 0. Where the second ends
// before that, the first ends with its exit code. A signal that ends the first ends the second:
// there is no mount that nobody waited for.
#pragma once

#include <functional>

#include "engine/base/fd.h"
#include "engine/base/result.h"

namespace cpaway::tools {

class Background {
 public:
  // Leaves the terminal (new session, "/" as working directory, standard streams closed, standard
  // error unless it is to be kept for the log) and tells the process that waits. Does nothing in
  // the foreground.
  [[nodiscard]] Status detach(bool keep_stderr);

 private:
  friend int run_in_background(const std::function<int(Background&)>& serve);
  friend int run_in_foreground(const std::function<int(Background&)>& serve);
  explicit Background(UniqueFd waiting) : waiting_(std::move(waiting)) {}

  UniqueFd waiting_;  // the pipe's end; invalid in the foreground
};

// Both give the exit code of the process that they return in. `serve` runs in the second process,
// respectively in this one.
[[nodiscard]] int run_in_background(const std::function<int(Background&)>& serve);
[[nodiscard]] int run_in_foreground(const std::function<int(Background&)>& serve);

}  // namespace cpaway::tools
