#include "tests/support/link_control.h"

#include "engine/base/strings.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMaxLine = 1024;

// Cuts the first word off.
std::string_view take_word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(line.find_first_not_of(' ', end), line.size()));
  return word;
}

std::string to_json(const LinkCounters& counters) {
  return concat("{\"bytes\":", counters.bytes, ",\"packets\":", counters.packets,
                ",\"dropped\":", counters.dropped, "}");
}

std::string error_json(const Error& error) {
  std::string text;
  for (const char c : error.to_string()) {
    text.push_back(c == '"' || c == '\\' || static_cast<unsigned char>(c) < ' ' ? '?' : c);
  }
  return concat("{\"error\":\"", text, "\"}");
}

}  // namespace

std::string LinkControl::take(std::string_view input) {
  std::string answers;
  input_.append(input);
  while (!quit_) {
    const size_t end = input_.find('\n');
    if (end == std::string::npos) {
      break;
    }
    answers.append(answer(std::string_view(input_).substr(0, end))).push_back('\n');
    input_.erase(0, end + 1);
  }
  if (input_.size() > kMaxLine) {
    input_.clear();  // what is left of it will be no command
  }
  return answers;
}

std::string LinkControl::answer(std::string_view line) {
  if (line == "stats") {
    const LinkRelay::Stats stats = relay_.stats();
    return concat("{\"up\":", to_json(stats.up), ",\"down\":", to_json(stats.down), "}");
  }
  const Status done = run(line);
  return done ? "{}" : error_json(done.error());
}

Status LinkControl::run(std::string_view line) {
  std::string_view rest = line;
  const std::string_view command = take_word(rest);
  if (command == "set") {
    return set(rest);
  }
  if (command == "outage") {
    return outage(rest);
  }
  if (line == "reset") {
    relay_.reset_stats();
    return {};
  }
  if (line == "quit") {
    quit_ = true;
    return {};
  }
  return fail(Errc::invalid, concat("no such command: ", line));
}

Status LinkControl::set(std::string_view words) {
  LinkShape shape = relay_.shape();
  while (!words.empty()) {
    const std::string_view word = take_word(words);
    const size_t key_end = std::min(word.find('='), word.size() - 1);
    CPAWAY_TRY(set_shape(shape, word.substr(0, key_end), word.substr(key_end + 1)));
  }
  relay_.set_shape(shape);
  return {};
}

Status LinkControl::outage(std::string_view word) {
  if (word != "on" && word != "off") {
    return fail(Errc::invalid, "outage on, or outage off");
  }
  relay_.set_outage(word == "on");
  return {};
}

}  // namespace cpaway::testing
