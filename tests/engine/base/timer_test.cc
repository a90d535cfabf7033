#include "engine/base/timer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "engine/base/clock.h"

namespace cpaway {
namespace {

TEST(Timer, RunsJobsInTheOrderInWhichTheyAreDue) {
  std::promise<void> all;
  std::vector<int> order;
  Timer timer;
  const int64_t start_ms = system_clock().now_ms();
  timer.after(40, [&] {
    order.push_back(2);
    all.set_value();
  });
  timer.after(10, [&] { order.push_back(1); });
  all.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_GE(system_clock().now_ms() - start_ms, 40);
}

TEST(Timer, DropsWhatIsNotDueAtItsEnd) {
  std::atomic<bool> ran{false};
  {
    Timer timer;
    timer.after(60'000, [&ran] { ran = true; });
  }
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace cpaway
