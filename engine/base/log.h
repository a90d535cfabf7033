// Logging that every layer may call. Without a sink, lines go to standard error.
//
// The mount installs an spdlog sink (base/log_spdlog); the agent keeps the plain one, since its
// standard error travels to the mount over the SSH channel. Secrets never reach a log call.
// Thread-safe. A line is logged once, where its outcome is decided.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/strings.h"

namespace cpaway::log {

enum class Level { debug, info, warning, error };

using Sink = void (*)(Level, std::string_view line);

// Call before threads start.
void set_sink(Sink sink);
void set_level(Level lowest);
[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view line);

template <typename... Pieces>
void at(Level level, const Pieces&... pieces) {
  if (enabled(level)) {
    write(level, concat(pieces...));
  }
}
template <typename... Pieces>
void debug(const Pieces&... pieces) {
  at(Level::debug, pieces...);
}
template <typename... Pieces>
void info(const Pieces&... pieces) {
  at(Level::info, pieces...);
}
template <typename... Pieces>
void warning(const Pieces&... pieces) {
  at(Level::warning, pieces...);
}
template <typename... Pieces>
void error(const Pieces&... pieces) {
  at(Level::error, pieces...);
}

}  // namespace cpaway::log
