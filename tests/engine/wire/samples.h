// One request and one good answer of each operation, with no field left at its default: what the
// golden files hold and what the fuzz test starts from.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/wire/pack.h"

namespace cpaway::testing {

struct Sample {
  std::string name;  // of the operation
  bool answer = false;
  Bytes frame;
  std::string text;  // the frame as a golden file shows it, field by field
  // Opens the frame and packs what it held again.
  std::function<Result<Bytes>(const wire::Incoming&)> repack;
};

[[nodiscard]] std::vector<Sample> all_samples();

}  // namespace cpaway::testing
