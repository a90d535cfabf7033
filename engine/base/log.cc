#include "engine/base/log.h"

#include <atomic>

#include "engine/base/fd.h"

namespace cpaway::log {
namespace {

void write_to_stderr(Level /*level*/, std::string_view line) {
  const std::string whole = concat(line, "\n");
  ignore(write_full(2, as_bytes(whole)), "nowhere left to report it");
}

std::atomic<Sink> g_sink{write_to_stderr};
std::atomic<Level> g_level{Level::info};

}  // namespace

void set_sink(Sink sink) {
  g_sink = sink;
}

void set_level(Level lowest) {
  g_level = lowest;
}

bool enabled(Level level) {
  return level >= g_level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view line) {
  g_sink.load(std::memory_order_relaxed)(level, line);
}

}  // namespace cpaway::log
