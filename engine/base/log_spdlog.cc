#include "engine/base/log_spdlog.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

namespace cpaway::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void write_to_spdlog(Level level, std::string_view line) {
  spdlog::default_logger_raw()->log(to_spdlog(level), "{}", line);
}

std::shared_ptr<spdlog::logger> make_logger(const std::string& target) {
  if (target == "stderr") {
    auto logger = spdlog::stderr_logger_mt("cpaway");
    logger->set_pattern("cpaway: %l: %v");
    return logger;
  }
  if (target == "syslog") {
    auto logger = spdlog::syslog_logger_mt("cpaway-syslog", "cpaway", LOG_PID, LOG_DAEMON);
    logger->set_pattern("%v");
    return logger;
  }
  auto logger = spdlog::basic_logger_mt("cpaway-file", target);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l [%t] %v");
  return logger;
}

}  // namespace

Status open(const Options& options) {
  try {
    spdlog::drop_all();
    auto logger = make_logger(options.target);
    logger->set_level(spdlog::level::debug);
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
  } catch (const spdlog::spdlog_ex& error) {
    return fail(Errc::invalid, concat("log ", options.target, ": ", error.what()));
  }
  set_level(options.level);
  set_sink(write_to_spdlog);
  return {};
}

}  // namespace cpaway::log
