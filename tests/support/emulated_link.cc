#include "tests/support/emulated_link.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace cpaway::testing {
namespace {

constexpr int kAnswerTimeoutMs = 10'000;

LinkCounters counters_of(const nlohmann::json& json) {
  return {json.at("bytes"), json.at("packets"), json.at("dropped")};
}

}  // namespace

bool EmulatedLink::available() {
  return geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
}

EmulatedLink::EmulatedLink(const std::vector<std::string>& options) {
  std::vector<std::string> argv = {CPAWAY_LINK};
  argv.insert(argv.end(), options.begin(), options.end());
  auto spawned = transport::ChildStream::spawn(
      argv, [](const auto& end) { return make_error(Errc::exec, end.said); });
  CHECK(spawned.has_value());
  program_ = std::move(*spawned);
  const auto ready = nlohmann::json::parse(read_line());
  near_namespace_ = ready.at("near");
  far_namespace_ = ready.at("far");
  near_address_ = ready.at("near_address");
  far_address_ = ready.at("far_address");
}

std::vector<std::string> EmulatedLink::near_command(std::vector<std::string> argv) const {
  argv.insert(argv.begin(), {"nsenter", "--net=" + near_namespace_, "--"});
  return argv;
}

LinkRelay::Stats EmulatedLink::stats() {
  const auto json = nlohmann::json::parse(ask("stats"));
  return {counters_of(json.at("up")), counters_of(json.at("down"))};
}

void EmulatedLink::reset_stats() {
  CHECK(ask("reset") == "{}");
}

void EmulatedLink::set(const std::string& words) {
  CHECK(ask("set " + words) == "{}");
}

void EmulatedLink::set_outage(bool on) {
  CHECK(ask(on ? "outage on" : "outage off") == "{}");
}

std::string EmulatedLink::ask(const std::string& command) {
  const std::string line = command + "\n";
  const auto written = program_->write_some(as_bytes(line));
  CHECK(written.has_value() && *written == line.size());
  return read_line();
}

std::string EmulatedLink::read_line() {
  size_t end = 0;
  while ((end = read_.find('\n')) == std::string::npos) {
    std::array<uint8_t, 4096> buffer;
    const size_t before = read_.size();
    const Status waited = program_->wait(false, -1, kAnswerTimeoutMs);
    const auto got = waited ? program_->read_some(buffer) : fail(waited.error());
    read_.append(as_text(ByteSpan(buffer).first(got.value_or(0))));
    if (read_.size() == before) {
      std::fprintf(stderr, "cpaway-link says nothing: %s\n",
                   got ? "it hangs" : got.error().to_string().c_str());
      std::abort();
    }
  }
  std::string line = read_.substr(0, end);
  read_.erase(0, end + 1);
  return line;
}

}  // namespace cpaway::testing
