#include "cache/change_queue.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/cache/known_files.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_block;

constexpr int64_t kNoWait = 0;

upload::TransferRecord record_of(const std::string& path) {
  upload::TransferRecord record;
  record.path = path;
  return record;
}

TEST(ChangeQueue, GathersABatchAndShowsItUntilCommitted) {
  ChangeQueue queue(system_clock());
  EXPECT_FALSE(queue.wait(kNoWait).batch);
  EXPECT_TRUE(queue.start_checkpoint("p", "s", 1));
  EXPECT_TRUE(queue.acknowledge("p", make_block(0, 5), 2));
  EXPECT_TRUE(queue.add_record(record_of("p")));
  const auto work = queue.wait(kNoWait);
  ASSERT_TRUE(work.batch);
  EXPECT_FALSE(work.stop);
  EXPECT_TRUE(queue.acknowledge("p", make_block(5, 5), 3));
  const auto changes = queue.checkpoint("p");
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].base, CheckpointChange::Base::fresh);
  EXPECT_EQ(changes[0].changed_s, 2);
  EXPECT_EQ(changes[1].base, CheckpointChange::Base::before);
  EXPECT_EQ(queue.changed_checkpoints(), std::set<std::string>{"p"});
  EXPECT_EQ(queue.records(10).newest_first.size(), 1U);
  queue.committed();
  EXPECT_EQ(queue.checkpoint("p").size(), 1U);
  EXPECT_TRUE(queue.records(10).newest_first.empty());
}

TEST(ChangeQueue, ChangesOfOneCheckpointCoalesce) {
  ChangeQueue queue(system_clock());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(queue.start_checkpoint("p", "s", i));
    EXPECT_TRUE(queue.acknowledge("p", make_block(0, 5), i));
    EXPECT_TRUE(queue.drop_checkpoint("p"));
  }
  EXPECT_TRUE(queue.acknowledge("p", make_block(0, 5), 1));  // of one that was dropped
  const auto work = queue.wait(kNoWait);
  ASSERT_TRUE(work.batch);
  ASSERT_EQ(work.batch->checkpoints.size(), 1U);
  EXPECT_EQ(work.batch->checkpoints.at("p").base, CheckpointChange::Base::none);
  EXPECT_TRUE(work.batch->checkpoints.at("p").blocks.empty());
}

TEST(ChangeQueue, IsBounded) {
  ChangeQueue queue(system_clock());
  EXPECT_TRUE(queue.add_version({}, size_t{300} << 20U));  // one that is too big, alone
  EXPECT_FALSE(queue.add_version({}, 1));
  EXPECT_FALSE(queue.add_touch({}));
  EXPECT_FALSE(queue.acknowledge("p", make_block(0, 1), 0));
  EXPECT_TRUE(queue.drop_checkpoint("p"));
  ASSERT_TRUE(queue.wait(kNoWait).batch);
  size_t accepted = 0;
  while (accepted < 100'000 && queue.add_version({}, 0)) {
    ++accepted;
  }
  EXPECT_EQ(accepted, 4096U);
  EXPECT_TRUE(queue.start_checkpoint("p", "s", 0));
}

TEST(ChangeQueue, RecordsAreNumberedAcrossBatches) {
  ChangeQueue queue(system_clock());
  queue.set_next_record(10);
  EXPECT_EQ(queue.records(5).before, 10U);
  EXPECT_TRUE(queue.add_record(record_of("a")));
  ASSERT_TRUE(queue.wait(kNoWait).batch);
  EXPECT_TRUE(queue.add_record(record_of("b")));
  EXPECT_TRUE(queue.add_record(record_of("c")));
  const auto all = queue.records(5);
  EXPECT_EQ(all.before, 10U);
  ASSERT_EQ(all.newest_first.size(), 3U);
  EXPECT_EQ(all.newest_first[0].path, "c");
  EXPECT_EQ(all.newest_first[2].path, "a");
  EXPECT_EQ(queue.records(1).newest_first.size(), 1U);
  EXPECT_EQ(queue.records(1).before, 10U);
}

TEST(ChangeQueue, FlushWaitsForTheBatchAndStopEndsTheWriter) {
  ChangeQueue queue(system_clock());
  int committed = 0;
  std::thread writer([&] {
    for (auto work = queue.wait(1000); !work.stop; work = queue.wait(1000)) {
      committed += work.batch ? 1 : 0;
      if (work.batch) {
        queue.committed();
      }
    }
  });
  queue.flush();  // of nothing
  EXPECT_TRUE(queue.add_touch({}));
  queue.flush();
  EXPECT_TRUE(queue.add_touch({}));
  queue.stop();
  writer.join();
  EXPECT_EQ(committed, 2);
}

TEST(ChangeQueue, AbandonedTakesNothingAndHoldsNobody) {
  ChangeQueue queue(system_clock());
  EXPECT_TRUE(queue.add_touch({}));
  ASSERT_TRUE(queue.wait(kNoWait).batch);
  EXPECT_TRUE(queue.add_touch({}));
  queue.abandon();
  queue.flush();
  EXPECT_FALSE(queue.add_touch({}));
  EXPECT_FALSE(queue.start_checkpoint("p", "s", 1));
  EXPECT_TRUE(queue.records(1).newest_first.empty());
}

TEST(ChangeQueue, WakeEndsAWait) {
  ChangeQueue queue(system_clock());
  queue.wake();
  EXPECT_FALSE(queue.wait(1'000'000).batch);
}

}  // namespace
}  // namespace cpaway::cache
