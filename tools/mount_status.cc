#include "tools/mount_status.h"

namespace cpaway::tools {
namespace {

nlohmann::json transfer_json(const fs::TransferReport& transfer, bool earlier) {
  return {{"path", transfer.path},
          {"size", transfer.size},
          {"bytes_written", transfer.bytes_written},
          {"bytes_sent", transfer.bytes_sent},
          {"bytes_acknowledged", transfer.bytes_acknowledged},
          {"bytes_matched", transfer.bytes_matched},
          {"bytes_resumed", transfer.bytes_resumed},
          {"bytes_per_second", transfer.bytes_per_second},
          {"state", transfer.state},
          {"sha256", transfer.sha256},
          {"error", transfer.error},
          {"earlier", earlier}};
}

fs::TransferReport parse_transfer(const nlohmann::json& json) {
  fs::TransferReport transfer;
  json.at("path").get_to(transfer.path);
  json.at("size").get_to(transfer.size);
  json.at("bytes_written").get_to(transfer.bytes_written);
  json.at("bytes_sent").get_to(transfer.bytes_sent);
  json.at("bytes_acknowledged").get_to(transfer.bytes_acknowledged);
  json.at("bytes_matched").get_to(transfer.bytes_matched);
  json.at("bytes_resumed").get_to(transfer.bytes_resumed);
  json.at("bytes_per_second").get_to(transfer.bytes_per_second);
  json.at("state").get_to(transfer.state);
  json.at("sha256").get_to(transfer.sha256);
  json.at("error").get_to(transfer.error);
  return transfer;
}

}  // namespace

bool is_running(const fs::TransferReport& transfer) {
  return transfer.state == "writing" || transfer.state == "committing";
}

nlohmann::json to_json(const MountStatus& status) {
  auto transfers = nlohmann::json::array();
  for (const fs::TransferReport& transfer : status.transfers) {
    transfers.push_back(transfer_json(transfer, false));
  }
  for (const fs::TransferReport& transfer : status.earlier) {
    transfers.push_back(transfer_json(transfer, true));
  }
  return {{"source", status.source},
          {"mountpoint", status.mountpoint},
          {"pid", status.pid},
          {"state", status.state},
          {"window_used", status.window_used},
          {"transfers", std::move(transfers)}};
}

std::string to_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<MountStatus> parse_mount_status(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    MountStatus status;
    json.at("source").get_to(status.source);
    json.at("mountpoint").get_to(status.mountpoint);
    json.at("pid").get_to(status.pid);
    json.at("state").get_to(status.state);
    json.at("window_used").get_to(status.window_used);
    for (const auto& transfer : json.at("transfers")) {
      const bool earlier = transfer.at("earlier").get<bool>();
      (earlier ? status.earlier : status.transfers).push_back(parse_transfer(transfer));
    }
    return status;
  } catch (const nlohmann::json::exception&) {
    return fail(Errc::protocol, "the mount's answer");
  }
}

}  // namespace cpaway::tools
