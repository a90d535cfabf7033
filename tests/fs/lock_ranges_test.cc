#include "fs/lock_ranges.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace cpaway::fs {
namespace {

using wire::kLockEnd;
using wire::kReadLock;
using wire::kUnlock;
using wire::kWriteLock;
using Ranges = std::vector<LockRange>;

TEST(LockRanges, SplitsAndJoins) {
  LockRanges held;
  held.set({kWriteLock, 0, 99});
  held.set({kUnlock, 40, 59});
  EXPECT_EQ(held.all(), (Ranges{{kWriteLock, 0, 39}, {kWriteLock, 60, 99}}));
  held.set({kReadLock, 30, 69});
  EXPECT_EQ(held.all(), (Ranges{{kWriteLock, 0, 29}, {kReadLock, 30, 69}, {kWriteLock, 70, 99}}));
  held.set({kWriteLock, 30, 69});
  EXPECT_EQ(held.all(), (Ranges{{kWriteLock, 0, 99}}));
  held.set({kReadLock, 100, kLockEnd});
  held.set({kUnlock, 0, 99});
  EXPECT_EQ(held.all(), (Ranges{{kReadLock, 100, kLockEnd}}));
  held.set({kUnlock, 0, kLockEnd});
  EXPECT_TRUE(held.empty());
}

TEST(LockRanges, NamesTheFirstConflict) {
  LockRanges held;
  held.set({kReadLock, 10, 19});
  held.set({kWriteLock, 30, 39});
  EXPECT_EQ(held.conflict({kReadLock, 0, kLockEnd}), (LockRange{kWriteLock, 30, 39}));
  EXPECT_EQ(held.conflict({kWriteLock, 0, kLockEnd}), (LockRange{kReadLock, 10, 19}));
  EXPECT_EQ(held.conflict({kWriteLock, 20, 29}), std::nullopt);
  EXPECT_EQ(held.conflict({kReadLock, 10, 19}), std::nullopt);
}

// Against one byte after the other.
TEST(LockRanges, AgreesWithAModel) {
  std::mt19937 random(5);
  LockRanges held;
  std::array<uint8_t, 32> model{};
  for (int step = 0; step < 5000; ++step) {
    const uint64_t a = random() % model.size();
    const uint64_t b = random() % model.size();
    const auto type = static_cast<uint8_t>(random() % 3);
    held.set({type, std::min(a, b), std::max(a, b)});
    std::fill(model.begin() + static_cast<long>(std::min(a, b)),
              model.begin() + static_cast<long>(std::max(a, b)) + 1, type);
    std::array<uint8_t, 32> shown{};
    uint64_t next = 0;
    for (const LockRange& range : held.all()) {
      ASSERT_GE(range.first, next);
      ASSERT_LE(range.first, range.last);
      next = range.last + 1;
      std::fill(shown.begin() + static_cast<long>(range.first),
                shown.begin() + static_cast<long>(range.last) + 1, range.type);
    }
    ASSERT_EQ(shown, model) << "step " << step;
  }
}

}  // namespace
}  // namespace cpaway::fs
