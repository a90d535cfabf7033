// One filesystem operation of the model test, as plain data: it can be made from a seed, printed,
// left out of a sequence and repeated on another directory.
//
// It names paths from a small set and files by slot, and never depends on what came before, so that
// any part of a failing sequence is a sequence too. What does not concern an operation is ignored.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "tests/e2e/fs_side.h"

namespace cpaway::testing {

struct FsOperation {
  size_t kind = 0;  // of the table in fs_operation.cc
  std::string path;
  std::string other_path;
  size_t slot = 0;
  size_t other_slot = 0;
  uint64_t offset = 0;
  size_t size = 0;
  unsigned mode = 0;
  uint32_t choice = 0;  // flags and variants, as each operation reads them
};

[[nodiscard]] FsOperation random_operation(std::mt19937_64& random);
// The same operation does the same in two directories that hold the same.
[[nodiscard]] Outcome run_operation(FsSide& side, const FsOperation& operation);
[[nodiscard]] std::string describe(const FsOperation& operation);

}  // namespace cpaway::testing
