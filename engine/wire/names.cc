#include "engine/wire/names.h"

#include <algorithm>

#include "engine/base/random.h"
#include "engine/base/strings.h"
#include "engine/hash/block_hash.h"
#include "engine/hash/digest.h"

namespace cpaway::wire {
namespace {

constexpr std::string_view kPrefix = ".cpaway-";
constexpr std::string_view kSuffix = ".part";
constexpr size_t kDigits = 16;
constexpr size_t kPathMax = 4095;
constexpr size_t kNameMax = 255;

bool valid_component(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax && name != "." && name != "..";
}

}  // namespace

bool valid_path(std::string_view path) {
  if (path.empty()) {
    return true;
  }
  if (path.size() > kPathMax || path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (true) {
    const size_t slash = path.find('/');
    if (!valid_component(path.substr(0, slash))) {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    path.remove_prefix(slash + 1);
  }
}

std::string staging_name_of(std::string_view target_name) {
  const hash::BlockHash hash = hash::block_hash(as_bytes(target_name));
  return concat(kPrefix, hash::to_hex(ByteSpan(hash).first(kDigits / 2)), kSuffix);
}

std::string new_staging_name() {
  return concat(kPrefix, random_hex(kDigits), kSuffix);
}

bool is_staging_name(std::string_view name) {
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return false;
  }
  const std::string_view digits = name.substr(kPrefix.size(), kDigits);
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace cpaway::wire
