#include "engine/base/fault.h"

#include <charconv>
#include <cstdlib>

#include "engine/base/strings.h"

namespace cpaway::fault {
namespace {

std::atomic<int64_t>* find_point(std::string_view name) {
  if (name == "damage_block") {
    return &points().damage_block;
  }
  if (name == "delay_reply_ms") {
    return &points().delay_reply_ms;
  }
  return nullptr;
}

}  // namespace

Points& points() {
  static Points points;
  return points;
}

Status parse(std::string_view spec) {
  while (!spec.empty()) {
    const size_t comma = spec.find(',');
    const std::string_view item = spec.substr(0, comma);
    spec = comma == std::string_view::npos ? std::string_view{} : spec.substr(comma + 1);
    const size_t equals = item.find('=');
    std::atomic<int64_t>* point = find_point(item.substr(0, equals));
    int64_t value = 1;
    if (equals != std::string_view::npos) {
      const std::string_view digits = item.substr(equals + 1);
      const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
      if (error != std::errc{} || end != digits.end()) {
        point = nullptr;
      }
    }
    if (point == nullptr) {
      return fail(Errc::invalid, concat("CPAWAY_FAULT: ", item));
    }
    *point = value;
  }
  return {};
}

Status load_from_environment() {
  const char* spec = std::getenv("CPAWAY_FAULT");
  return spec == nullptr ? Status{} : parse(spec);
}

bool take(std::atomic<int64_t>& point) {
  int64_t left = point.load(std::memory_order_relaxed);
  while (left > 0) {
    if (point.compare_exchange_weak(left, left - 1)) {
      return true;
    }
  }
  return left == -1;
}

}  // namespace cpaway::fault
