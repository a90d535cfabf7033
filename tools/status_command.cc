#include "tools/status_command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "engine/base/strings.h"
#include "tools/control_client.h"
#include "tools/exit_code.h"
#include "tools/mountpoint.h"

namespace cpaway::tools {
namespace {

constexpr size_t kBarWidth = 24;
constexpr size_t kDigestDigits = 16;

// Of what the program has written so far, how much is verified on the remote host.
unsigned percent(const fs::TransferReport& transfer) {
  const uint64_t whole = std::max(transfer.size, transfer.bytes_written);
  if (whole == 0) {
    return 0;
  }
  return static_cast<unsigned>(std::min(
      100.0,
      100.0 * static_cast<double>(transfer.bytes_acknowledged) / static_cast<double>(whole)));
}

std::string bar(unsigned percents) {
  const size_t full = kBarWidth * percents / 100;
  return concat("[", std::string(full, '#'), std::string(kBarWidth - full, '.'), "] ");
}

// A name may hold anything but must not command the terminal.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::string format_transfer(const fs::TransferReport& transfer, bool with_bars) {
  std::string line = concat("  ", transfer.state, "  ", printable(transfer.path), "  ");
  if (is_running(transfer)) {
    const unsigned percents = percent(transfer);
    line += concat(with_bars ? bar(percents) : "", percents, "% of ",
                   format_size(std::max(transfer.size, transfer.bytes_written)), " verified");
    return line + "\n";
  }
  line += concat(format_size(transfer.size), ", ", format_size(transfer.bytes_sent), " sent, ",
                 format_size(transfer.bytes_acknowledged), " verified");
  if (!transfer.sha256.empty()) {
    line += concat("  sha256 ", transfer.sha256.substr(0, kDigestDigits), "...");
  }
  if (!transfer.error.empty()) {
    line += concat("  ", printable(transfer.error));
  }
  return line + "\n";
}

// What is known without the daemon's answer.
MountStatus silent_status(const DaemonRecord& record) {
  MountStatus status;
  status.source = record.source;
  status.mountpoint = record.mountpoint;
  status.pid = record.pid;
  status.state = "not answering";
  return status;
}

std::vector<MountStatus> collect(const StatusWords& words, const std::string& mountpoint) {
  std::vector<MountStatus> all;
  for (const RunningDaemon& daemon : running_daemons(state_base(words.state_dir))) {
    if (mountpoint.empty() || daemon.record.mountpoint == mountpoint) {
      auto status = query_daemon(daemon);
      all.push_back(status ? std::move(*status) : silent_status(daemon.record));
    }
  }
  return all;
}

void print(const std::vector<MountStatus>& all, bool json) {
  std::string text;
  if (json) {
    auto array = nlohmann::json::array();
    for (const MountStatus& status : all) {
      array.push_back(to_json(status));
    }
    text = to_text(array);
  } else {
    for (const MountStatus& status : all) {
      text += format_status(status, isatty(STDOUT_FILENO) == 1);
    }
  }
  static_cast<void>(std::fputs(text.c_str(), stdout));
}

}  // namespace

std::string format_size(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 48> text;
  static_cast<void>(std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s",
                                  value, kUnits[unit]));
  return text.data();
}

std::string format_status(const MountStatus& status, bool with_bars) {
  std::string text = concat(printable(status.source), " on ", printable(status.mountpoint),
                            "  pid ", status.pid, "  ", status.state, "\n");
  for (const fs::TransferReport& transfer : status.transfers) {
    text += format_transfer(transfer, with_bars);
  }
  return text;
}

int status_command(const StatusWords& words) {
  std::string mountpoint;
  if (!words.mountpoint.empty()) {
    auto resolved = resolve_mountpoint(words.mountpoint);
    if (!resolved) {
      return report_failure(resolved.error(), ExitCode::mountpoint);
    }
    mountpoint = std::move(*resolved);
  }
  const auto all = collect(words, mountpoint);
  if (all.empty() && !mountpoint.empty()) {
    return report_failure(
        make_error(Errc::invalid, concat("mountpoint ", mountpoint, ": no cpaway mount there")),
        ExitCode::mountpoint);
  }
  print(all, words.json);
  return to_int(ExitCode::ok);
}

}  // namespace cpaway::tools
