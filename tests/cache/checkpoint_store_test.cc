#include "cache/checkpoint_store.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/cache/known_files.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;
using Blocks = std::vector<upload::AcknowledgedBlock>;

TEST(Settle, LaterBlocksReplaceThoseTheyOverlap) {
  const Blocks settled =
      settle({make_block(100, 50), make_block(0, 50), make_block(50, 50), make_block(90, 20)});
  ASSERT_EQ(settled.size(), 2U);
  EXPECT_EQ(settled[0].offset, 0U);
  EXPECT_EQ(settled[1].offset, 90U);
  EXPECT_EQ(bytes_in(settled), 70U);
}

// Against a byte-wise model: a byte belongs to the last block that covers it, if all of that is
// still there.
TEST(Settle, HoldsAtRandom) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    Blocks blocks;
    for (int i = 0; i < 12; ++i) {
      blocks.push_back(make_block(random() % 40, 1 + random() % 10));
    }
    std::map<size_t, size_t> alive;  // index of block by itself
    for (size_t i = 0; i < blocks.size(); ++i) {
      std::erase_if(alive, [&](const auto& other) {
        const auto& old = blocks[other.first];
        return old.offset < blocks[i].offset + blocks[i].block.size &&
               blocks[i].offset < old.offset + old.block.size;
      });
      alive[i] = i;
    }
    const Blocks settled = settle(blocks);
    ASSERT_EQ(settled.size(), alive.size());
    for (size_t i = 1; i < settled.size(); ++i) {
      EXPECT_GE(settled[i].offset, settled[i - 1].offset + settled[i - 1].block.size);
    }
  }
}

TEST(ApplyChange, BuildsOnWhatWasThere) {
  CheckpointChange change;
  change.blocks = {make_block(0, 10)};
  EXPECT_FALSE(apply_change(std::nullopt, "p", change));
  change.base = CheckpointChange::Base::fresh;
  change.staging_name = "s";
  change.changed_s = 9;
  auto made = apply_change(std::nullopt, "p", change);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->path, "p");
  EXPECT_EQ(made->staging_name, "s");
  EXPECT_EQ(made->changed_s, 9);
  change.base = CheckpointChange::Base::before;
  change.blocks = {make_block(10, 10)};
  made = apply_change(made, "p", change);
  made = apply_change(made, "p", change);  // twice does no harm
  ASSERT_TRUE(made);
  EXPECT_EQ(made->bytes_acknowledged, 20U);
  change.base = CheckpointChange::Base::none;
  EXPECT_FALSE(apply_change(made, "p", change));
}

}  // namespace
}  // namespace cpaway::cache
