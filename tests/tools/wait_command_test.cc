#include "tools/wait_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpaway::tools {
namespace {

MountStatus with(std::vector<fs::TransferReport> transfers) {
  MountStatus status;
  status.transfers = std::move(transfers);
  return status;
}

fs::TransferReport transfer(const std::string& path, const std::string& state) {
  fs::TransferReport report;
  report.path = path;
  report.state = state;
  report.error = state == "failed" ? "no space" : "";
  return report;
}

TEST(WaitCommand, RunningTransfersOfThePathAreWaitedFor) {
  const auto status = with({transfer("a/b", "committing"), transfer("c", "committed")});
  EXPECT_EQ(judge_transfers(status, "a/b").value(), WaitState::running);
  EXPECT_EQ(judge_transfers(status, "a").value(), WaitState::running);
  EXPECT_EQ(judge_transfers(status, "").value(), WaitState::running);
  EXPECT_EQ(judge_transfers(status, "c").value(), WaitState::done);
  EXPECT_EQ(judge_transfers(status, "a/").value_or(WaitState::done), WaitState::done);
  EXPECT_EQ(judge_transfers(status, "a/bb").value(), WaitState::done);
}

TEST(WaitCommand, OnlyTheLastTransferOfAFileCounts) {
  const auto good = with({transfer("a", "committed"), transfer("a", "failed")});
  EXPECT_EQ(judge_transfers(good, "a").value(), WaitState::done);
  const auto bad = with({transfer("a", "failed"), transfer("a", "committed")});
  const auto judged = judge_transfers(bad, "a");
  ASSERT_FALSE(judged);
  EXPECT_EQ(judged.error().context, "a: no space");
}

TEST(WaitCommand, NeedsAMount) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(wait_command("/", "/nonexistent"), 3);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("not on a cpaway mount"));
}

}  // namespace
}  // namespace cpaway::tools
