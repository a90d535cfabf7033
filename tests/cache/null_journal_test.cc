#include "cache/null_journal.h"

#include <gtest/gtest.h>

namespace cpaway::cache {
namespace {

TEST(NullJournal, RemembersNothing) {
  NullJournal journal;
  journal.remember({});
  journal.rekey({}, {});
  journal.start_checkpoint("p", "s");
  journal.acknowledge("p", {});
  journal.record({});
  EXPECT_FALSE(journal.find_version({}));
  EXPECT_TRUE(journal.find_similar({{}}, 9).empty());
  EXPECT_FALSE(journal.find_checkpoint("p"));
  EXPECT_TRUE(journal.checkpoints().empty());
  journal.drop_checkpoint("p");
  EXPECT_TRUE(journal.recent(9).empty());
}

}  // namespace
}  // namespace cpaway::cache
