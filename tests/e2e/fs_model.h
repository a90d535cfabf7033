// The model-based test of the mount: the same random operations in a directory on it and in a local
// one must do the same, call by call, and leave the same tree.
//
// A sequence that ends differently is shortened, by leaving out what does not matter, before it is
// reported.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/fs_operation.h"
#include "tests/e2e/fs_side.h"

namespace cpaway::testing {

struct ModelPlaces {
  std::string mount;   // directories of which sequences run in new ones below
  std::string remote;  // the mount's, on the remote host
  std::string local;
  FileOwner owner;       // the login user there
  std::string left_out;  // kinds of operations, a space behind each
};

class FsModel {
 public:
  FsModel(ModelPlaces places, uint64_t seed);

  // A new sequence of `length` operations; what went wrong, with the sequence, "" where nothing
  // did.
  [[nodiscard]] std::string run_sequence(size_t length);
  [[nodiscard]] uint64_t operations() const { return operation_count_; }

 private:
  struct Difference {
    std::string text;
    size_t operation = 0;  // the one it showed at; the number of all where in the trees
  };

  [[nodiscard]] std::optional<Difference> replay(const std::vector<FsOperation>& sequence);
  [[nodiscard]] std::vector<FsOperation> shorten(std::vector<FsOperation> sequence);
  [[nodiscard]] FsSide make_side(const std::string& place, const std::string& name,
                                 std::optional<FileOwner> owner) const;

  const ModelPlaces places_;
  std::mt19937_64 random_;
  uint64_t replay_count_ = 0;
  uint64_t operation_count_ = 0;
  // Names of operations: what this mount cannot do, and CPAWAY_TEST_WITHOUT.
  std::string left_out_ = " ";
};

}  // namespace cpaway::testing
