#include "cache/changes.h"

#include <gtest/gtest.h>

#include "tests/cache/known_files.h"

namespace cpaway::cache {
namespace {

using cpaway::testing::make_version;

std::shared_ptr<const VersionChange> remembered(const upload::KnownVersion& version) {
  auto pending = std::make_shared<PendingVersion>();
  pending->version = version;
  pending->samples = samples_of(version.chunks);
  return std::make_shared<VersionChange>(VersionChange{std::move(pending), {}, {}});
}

std::shared_ptr<const VersionChange> rekeyed(const upload::VersionKey& before,
                                             const upload::KnownFile& now) {
  return std::make_shared<VersionChange>(VersionChange{nullptr, before, now});
}

upload::VersionKey later(upload::VersionKey key) {
  ++key.ctime_s;
  return key;
}

TEST(Resolve, LooksIntoTheDatabaseForWhatDidNotChange) {
  const auto key = make_version(1, 1).file.key;
  const Resolved resolved = resolve({remembered(make_version(2, 1))}, key);
  EXPECT_FALSE(resolved.gone);
  EXPECT_FALSE(resolved.pending);
  EXPECT_FALSE(resolved.now);
  EXPECT_EQ(resolved.stored_as, key);
}

TEST(Resolve, FindsTheNewestAndNotTheReplaced) {
  auto first = make_version(1, 1);
  auto second = first;
  second.file.key = later(first.file.key);
  const VersionChanges changes = {remembered(first), remembered(second)};
  EXPECT_TRUE(resolve(changes, first.file.key).gone);
  ASSERT_TRUE(resolve(changes, second.file.key).pending);
  EXPECT_EQ(resolve(changes, second.file.key).pending->version.file.key, second.file.key);
}

TEST(Resolve, FollowsRenamesBack) {
  const auto first = make_version(1, 1);
  const upload::KnownFile second = {later(first.file.key), "second"};
  const upload::KnownFile third = {make_version(9, 1).file.key, "third"};
  const VersionChanges renames = {rekeyed(first.file.key, second), rekeyed(second.key, third)};
  const Resolved stored = resolve(renames, third.key);
  EXPECT_FALSE(stored.gone);
  EXPECT_EQ(stored.stored_as, first.file.key);
  ASSERT_TRUE(stored.now);
  EXPECT_EQ(stored.now->path, "third");
  EXPECT_TRUE(resolve(renames, second.key).gone);
  EXPECT_TRUE(resolve(renames, first.file.key).gone);
  VersionChanges all = renames;
  all.insert(all.begin(), remembered(first));
  EXPECT_TRUE(resolve(all, third.key).pending);
}

TEST(MergeSimilar, CountsWhatIsQueuedAndDropsWhatIsReplaced) {
  const auto big = make_version(1, 400);
  const auto small = make_version(2, 1);
  const auto samples = samples_of(big.chunks);
  auto other_content = make_version(3, 400);
  const std::vector<SimilarFile> stored = {{small.file, 3}, {other_content.file, 2}};
  const upload::KnownFile renamed = {later(small.file.key), "renamed"};
  const VersionChanges changes = {remembered(big), rekeyed(small.file.key, renamed),
                                  remembered(other_content)};
  const auto merged = merge_similar(changes, samples, stored);
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0].file.key, big.file.key);
  EXPECT_EQ(merged[0].hits, samples.size());
  EXPECT_EQ(merged[1].file.path, "renamed");
}

}  // namespace
}  // namespace cpaway::cache
