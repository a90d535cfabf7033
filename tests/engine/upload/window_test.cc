#include "engine/upload/window.h"

#include <gtest/gtest.h>

namespace cpaway::upload {
namespace {

TEST(Window, GrantsAtOnceWhatFits) {
  Window window(100);
  EXPECT_TRUE(window.acquire(60, [] { FAIL(); }));
  EXPECT_TRUE(window.acquire(40, [] { FAIL(); }));
  EXPECT_EQ(window.used(), 100U);
  window.release(100);
  EXPECT_EQ(window.used(), 0U);
}

TEST(Window, GrantsInTurn) {
  Window window(100);
  std::string order;
  ASSERT_TRUE(window.acquire(100, [] {}));
  EXPECT_FALSE(window.acquire(80, [&order] { order += 'a'; }));
  // Would fit after the release, but is second in line.
  EXPECT_FALSE(window.acquire(10, [&order] { order += 'b'; }));
  window.release(50);
  EXPECT_EQ(order, "");
  window.release(50);
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(window.used(), 90U);
}

TEST(Window, MoreThanTheCapacityIsGrantedAlone) {
  Window window(10);
  bool granted = false;
  EXPECT_TRUE(window.acquire(1000, [] {}));
  EXPECT_FALSE(window.acquire(1000, [&granted] { granted = true; }));
  window.release(1000);
  EXPECT_TRUE(granted);
}

TEST(Window, AsksHoldersWhenSomebodyWaits) {
  Window window(10);
  int asked = 0;
  int key = 0;
  window.add_holder(&key, [&asked] { ++asked; });
  ASSERT_TRUE(window.acquire(10, [] {}));
  EXPECT_EQ(asked, 0);
  EXPECT_FALSE(window.acquire(1, [] {}));
  EXPECT_EQ(asked, 1);
  // One that starts to hold while somebody waits is asked at once.
  int other = 0;
  window.add_holder(&other, [&asked] { ++asked; });
  EXPECT_EQ(asked, 2);
  window.remove_holder(&key);
  EXPECT_FALSE(window.acquire(1, [] {}));
  EXPECT_EQ(asked, 3);
}

TEST(Window, KeepsAFewBlocksForTheNext) {
  Window window(100);
  constexpr size_t kBlock = 1UL << 20U;
  Bytes block(kBlock, 'x');
  const uint8_t* memory = block.data();
  window.keep(std::move(block));
  window.keep(Bytes(10, 'x'));  // small: not worth it
  EXPECT_NE(window.spare(2 * kBlock).data(), memory);
  const Bytes again = window.spare(kBlock);
  EXPECT_EQ(again.data(), memory);
  EXPECT_TRUE(again.empty());
  EXPECT_NE(window.spare(kBlock).data(), memory);
}

// Scattered small writes make as many blocks: memory must not go beyond the window for them.
TEST(WindowBytes, ASmallBlockTakesLittleMemory) {
  Window window(100'000);
  {
    WindowBytes block(window);
    block.bytes = window.spare(1UL << 20U);
    ASSERT_TRUE(window.acquire(3, nullptr));
    block.bytes.assign({1, 2, 3});
    block.hold(3);
    block.settle();
    EXPECT_EQ(block.bytes, (Bytes{1, 2, 3}));
    EXPECT_LT(block.bytes.capacity(), 1000U);
    EXPECT_EQ(window.used(), 4096U);
  }
  EXPECT_EQ(window.used(), 0U);
  EXPECT_GE(window.spare(1UL << 20U).capacity(), 1UL << 20U);
}

TEST(WindowBytes, GivesBackWhatItHolds) {
  Window window(100);
  ASSERT_TRUE(window.acquire(50, [] {}));
  {
    WindowBytes bytes(window);
    bytes.hold(50);
    bytes.bytes.resize(30);
    bytes.release_surplus();
    EXPECT_EQ(window.used(), 30U);
  }
  EXPECT_EQ(window.used(), 0U);
}

TEST(WindowBytes, ARangeTakesItsShareAlong) {
  Window window(100);
  ASSERT_TRUE(window.acquire(10, [] {}));
  WindowBytes part(window);
  {
    WindowBytes whole(window);
    whole.hold(10);
    whole.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    whole.give_range(3, 4, part);
    EXPECT_EQ(part.bytes, (Bytes{3, 4, 5, 6}));
    EXPECT_EQ(whole.bytes.size(), 10U);
    EXPECT_EQ(window.used(), 10U);
  }
  EXPECT_EQ(window.used(), 4U);
}

}  // namespace
}  // namespace cpaway::upload
