#include "tests/e2e/transfer_report.h"

#include <nlohmann/json.hpp>

namespace cpaway::testing {

Transfer last_transfer(const std::string& mountpoint, const std::string& state_dir) {
  const Finished status = run_command({std::string(CPAWAY_BIN) + "/cpaway", "status", "--json",
                                       "--state-dir", state_dir, mountpoint});
  EXPECT_EQ(status.exit_status, 0) << status.err;
  Transfer transfer;
  const auto json = nlohmann::json::parse(status.out, nullptr, false);
  if (json.is_discarded() || json.empty() || json.at(0).at("transfers").empty()) {
    ADD_FAILURE() << status.out;
    return transfer;
  }
  const auto& first = json.at(0).at("transfers").at(0);
  transfer.state = first.at("state");
  transfer.bytes_sent = first.at("bytes_sent");
  transfer.bytes_matched = first.at("bytes_matched");
  transfer.bytes_resumed = first.at("bytes_resumed");
  return transfer;
}

}  // namespace cpaway::testing
