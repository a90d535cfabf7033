// The commands that a running link takes, one a line; each is answered by one line of JSON.
//
//   stats                         {"up":{"bytes":N,"packets":N,"dropped":N},"down":{...}}
//   reset                         sets these to 0
//   set KEY=VALUE...              rate, delay, loss, queue, as on the command line
//   outage on|off
//   quit
//
// Commands without anything to say answer {}, wrong ones {"error":"..."}.
#pragma once

#include <string>
#include <string_view>

#include "tests/support/link_relay.h"

namespace cpaway::testing {

class LinkControl {
 public:
  // `relay` must outlive it.
  explicit LinkControl(LinkRelay& relay) : relay_(relay) {}

  // Takes bytes as they come; the answers to all lines that are whole by now.
  [[nodiscard]] std::string take(std::string_view input);
  [[nodiscard]] bool quit() const { return quit_; }

 private:
  std::string answer(std::string_view line);
  Status run(std::string_view line);
  Status set(std::string_view words);
  Status outage(std::string_view word);

  LinkRelay& relay_;
  std::string input_;
  bool quit_ = false;
};

}  // namespace cpaway::testing
