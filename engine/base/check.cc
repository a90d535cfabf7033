#include "engine/base/check.h"

#include <cstdlib>

#include "engine/base/log.h"

namespace cpaway {

void check_failed(const char* condition, const char* file, int line) {
  log::error("check failed: ", condition, " at ", file, ":", line);
  std::abort();
}

}  // namespace cpaway
