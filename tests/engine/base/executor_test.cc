#include "engine/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace cpaway::testing {
namespace {

TEST(Executor, RunsWhatIsQueuedBeforeItEnds) {
  std::atomic<int> ran{0};
  {
    Executor executor("a-name-longer-than-15-characters", 3);
    for (int i = 0; i < 1000; ++i) {
      executor.post([&] { ++ran; });
    }
  }
  EXPECT_EQ(ran, 1000);
}

TEST(Executor, JobsMayPostJobsWhileItEnds) {
  std::atomic<int> ran{0};
  {
    Executor executor("test", 2);
    executor.post([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      executor.post([&] { ++ran; });
    });
  }
  EXPECT_EQ(ran, 1);
}

TEST(Strand, KeepsOrderAndNeverRunsTwoAtOnce) {
  constexpr int kStrands = 8;
  constexpr int kJobs = 500;
  std::vector<std::vector<int>> seen(kStrands);
  std::vector<std::atomic<int>> running(kStrands);
  std::atomic<bool> overlapped{false};
  {
    Executor executor("test", 4);
    std::vector<Strand> strands(kStrands, Strand(executor));
    for (Strand& strand : strands) {
      strand = Strand(executor);
    }
    for (int job = 0; job < kJobs; ++job) {
      for (int s = 0; s < kStrands; ++s) {
        strands[s].post([&, s, job] {
          overlapped = overlapped || ++running[s] != 1;
          seen[s].push_back(job);
          --running[s];
        });
      }
    }
  }  // the strands are destroyed before their jobs have all run
  EXPECT_FALSE(overlapped);
  for (const auto& jobs : seen) {
    ASSERT_EQ(jobs.size(), static_cast<size_t>(kJobs));
    EXPECT_TRUE(std::is_sorted(jobs.begin(), jobs.end()));
  }
}

// One busy strand leaves the single thread to the others between its jobs.
TEST(Strand, TakesTurns) {
  std::vector<char> order;
  {
    Executor executor("test", 1);
    const Strand first(executor);
    const Strand second(executor);
    std::atomic<bool> go{false};
    executor.post([&] {
      while (!go) {
        std::this_thread::yield();
      }
    });
    for (int i = 0; i < 3; ++i) {
      first.post([&] { order.push_back('a'); });
      second.post([&] { order.push_back('b'); });
    }
    go = true;
  }
  EXPECT_EQ(std::string(order.begin(), order.end()), "ababab");
}

}  // namespace
}  // namespace cpaway::testing
