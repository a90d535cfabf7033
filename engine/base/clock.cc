#include "engine/base/clock.h"

#include <ctime>

namespace cpaway {
namespace {

class SystemClock : public Clock {
 public:
  int64_t now_ms() const override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace cpaway
