#include "tests/tidy/tree.h"

#include <gtest/gtest.h>

namespace cpaway::tidy {
namespace {

TEST(Tree, FollowsTheRules) {
  for (const Finding& finding : check_tree(CPAWAY_SOURCE_DIR)) {
    ADD_FAILURE() << finding.file << ":" << finding.line << ": " << finding.what;
  }
}

}  // namespace
}  // namespace cpaway::tidy
