// Asking a person, on time that no deadline counts.
#pragma once

#include <optional>
#include <string>

#include "engine/transport/deadline.h"
#include "engine/transport/transport.h"

namespace cpaway::transport {

inline std::optional<std::string> ask(const Prompter& prompter, Deadline& deadline,
                                      const std::string& prompt, bool echo) {
  if (!prompter) {
    return std::nullopt;
  }
  const int64_t asked_ms = system_clock().now_ms();
  auto answer = prompter(prompt, echo);
  deadline.extend(system_clock().now_ms() - asked_ms);
  return answer;
}

}  // namespace cpaway::transport
