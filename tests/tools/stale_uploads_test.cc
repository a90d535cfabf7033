#include "tools/stale_uploads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cache/null_journal.h"
#include "engine/base/mutex.h"
#include "tests/support/in_process_agent.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::tools {
namespace {

using ::testing::UnorderedElementsAre;

constexpr int64_t kNow = 2'000'000'000;

class Checkpoints : public cache::NullJournal {
 public:
  std::vector<upload::Checkpoint> checkpoints() override { return all; }
  void drop_checkpoint(const std::string& path) override {
    const MutexLock lock(mutex_);
    dropped_.push_back(path);
  }
  std::vector<std::string> dropped() {
    const MutexLock lock(mutex_);
    return dropped_;
  }
  void add(const std::string& path, int64_t age_s) {
    upload::Checkpoint checkpoint;
    checkpoint.path = path;
    checkpoint.changed_s = kNow - age_s;
    all.push_back(checkpoint);
  }

  std::vector<upload::Checkpoint> all;

 private:
  Mutex mutex_;
  std::vector<std::string> dropped_ CPAWAY_GUARDED_BY(mutex_);
};

class StaleUploadsTest : public ::testing::Test {
 protected:
  // ctime is what it is, so nothing here is older than the test: what the agent judges is its own
  // tests' affair.
  void collect(size_t expected_drops) {
    collect_stale_uploads(agent_, journal_, kNow);
    EXPECT_TRUE(testing::wait_until([&] { return journal_.dropped().size() == expected_drops; }));
  }

  testing::TempDir dir_;
  Checkpoints journal_;
  testing::InProcessAgent agent_{dir_.path()};
};

TEST_F(StaleUploadsTest, OldOnesAreForgotten) {
  std::filesystem::create_directory(dir_.path() + "/d");
  journal_.add("f", kStaleAfterS);
  journal_.add("d/g", kStaleAfterS + 1);
  journal_.add("d/h", kStaleAfterS + 2);
  journal_.add("d/young", kStaleAfterS - 1);
  collect(3);
  EXPECT_THAT(journal_.dropped(), UnorderedElementsAre("f", "d/g", "d/h"));
}

TEST_F(StaleUploadsTest, ADirectoryThatIsGoneIsNoReasonToRemember) {
  std::ofstream(dir_.path() + "/file") << "x";
  journal_.add("gone/f", kStaleAfterS);
  journal_.add("file/f", kStaleAfterS);
  collect(2);
}

TEST_F(StaleUploadsTest, WhatCannotBeLookedThroughIsKept) {
  journal_.add("../f", kStaleAfterS);
  journal_.add("f", kStaleAfterS);
  collect(1);
  EXPECT_THAT(journal_.dropped(), UnorderedElementsAre("f"));
}

}  // namespace
}  // namespace cpaway::tools
