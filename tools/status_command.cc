#include "tools/status_command.h"

#include <sys/ioctl.h>
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

constexpr size_t kDefaultColumns = 80;
constexpr size_t kMinBarWidth = 10;
constexpr size_t kMaxBarWidth = 60;

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

// Fills what `text` leaves of the line, within reason.
std::string bar(unsigned percents, size_t columns, const std::string& text) {
  constexpr size_t kAround = 8;  // the indent, the brackets, the gap
  const size_t room = columns > text.size() + kAround ? columns - text.size() - kAround : 0;
  const size_t width = std::clamp(room, kMinBarWidth, kMaxBarWidth);
  const size_t full = width * percents / 100;
  return concat("[", std::string(full, '#'), std::string(width - full, '.'), "]  ");
}

// A name may hold anything but must not command the terminal.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

// "45% of 1.5 GiB, 12.3 MiB/s"; of one that has ended the size only.
std::string format_progress(const fs::TransferReport& transfer) {
  const uint64_t whole = std::max(transfer.size, transfer.bytes_written);
  return concat(is_running(transfer) ? concat(percent(transfer), "% of ", format_size(whole))
                                     : format_size(transfer.size),
                ", ", format_size(transfer.bytes_per_second), "/s");
}

// "300.0 MiB sent, 400.0 MiB matched": what was found on the remote host only where something was.
std::string format_travelled(const fs::TransferReport& transfer) {
  std::string text = concat(format_size(transfer.bytes_sent), " sent");
  if (transfer.bytes_matched != 0) {
    text += concat(", ", format_size(transfer.bytes_matched), " matched");
  }
  if (transfer.bytes_resumed != 0) {
    text += concat(", ", format_size(transfer.bytes_resumed), " resumed");
  }
  return text;
}

std::string format_transfer(const fs::TransferReport& transfer, bool earlier, size_t columns) {
  const bool with_bar = columns != 0 && is_running(transfer);
  const std::string next = columns == 0 ? "  " : "\n    ";
  const std::string progress = format_progress(transfer);
  std::string text =
      concat("  ", transfer.state, earlier ? " earlier  " : "  ", printable(transfer.path), next);
  if (with_bar) {
    text += bar(percent(transfer), columns, progress);
  }
  text += concat(progress, with_bar ? next : ", ", format_travelled(transfer));
  if (!transfer.sha256.empty()) {
    text += concat(next, "sha256 ", printable(transfer.sha256));
  }
  if (!transfer.error.empty()) {
    text += concat(next, printable(transfer.error));
  }
  return text + "\n";
}

// The terminal's width, 0 where standard output is none.
size_t terminal_columns() {
  if (isatty(STDOUT_FILENO) != 1) {
    return 0;
  }
  winsize size = {};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kDefaultColumns;
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
      text += format_status(status, terminal_columns());
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

std::string format_status(const MountStatus& status, size_t columns) {
  std::string text = concat(printable(status.source), " on ", printable(status.mountpoint),
                            "  pid ", status.pid, "  ", status.state, "\n");
  for (const fs::TransferReport& transfer : status.transfers) {
    text += format_transfer(transfer, false, columns);
  }
  for (const fs::TransferReport& transfer : status.earlier) {
    text += format_transfer(transfer, true, columns);
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
