#include "tests/e2e/fs_model.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "engine/base/check.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {
namespace {

constexpr size_t kTreeEvery = 100;  // operations
constexpr auto kShortenFor = std::chrono::seconds(60);

std::string text_of(const Outcome& outcome) {
  return std::to_string(outcome.value) + " errno " + std::to_string(outcome.error) + " [" +
         outcome.data + "] links " + std::to_string(outcome.links);
}

// "" where both are the same, else the lines that differ.
std::string tree_difference(const std::map<std::string, std::string>& is,
                            const std::map<std::string, std::string>& expected) {
  std::string text;
  for (const auto& [path, line] : is) {
    const auto other = expected.find(path);
    if (other == expected.end()) {
      text += "  only there: /" + path + " " + line + "\n";
    } else if (line != other->second) {
      text += "  /" + path + " is " + line + "\n    expected " + other->second + "\n";
    }
  }
  for (const auto& [path, line] : expected) {
    if (!is.contains(path)) {
      text += "  missing: /" + path + " " + line + "\n";
    }
  }
  return text;
}

std::string compare(const Outcome& is, const Outcome& expected) {
  return is == expected ? "" : "is " + text_of(is) + "\n  expected " + text_of(expected);
}

}  // namespace

FsModel::FsModel(ModelPlaces places, uint64_t seed) : places_(std::move(places)), random_(seed) {
  ::signal(SIGPIPE, SIG_IGN);  // of a fifo that nobody reads: EPIPE
  const UniqueFd fd(::open((places_.mount + "/probe").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  CHECK(fd);
  if (::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, 1) != 0 && errno == EOPNOTSUPP) {
    left_out_ += "fallocate ";
  }
  left_out_ += places_.left_out;
  if (const char* given = ::getenv("CPAWAY_TEST_WITHOUT")) {
    left_out_ += std::string(given) + " ";
  }
}

FsSide FsModel::make_side(const std::string& place, const std::string& name,
                          std::optional<FileOwner> owner) const {
  const std::string root = place + "/" + name;
  if (::mkdir(root.c_str(), 0755) != 0) {
    throw std::system_error(errno, std::generic_category(), root);
  }
  if (owner) {
    CHECK(::chown(root.c_str(), owner->uid, owner->gid) == 0);
  }
  return {root, owner};
}

std::string FsModel::run_sequence(size_t length) {
  std::vector<FsOperation> sequence;
  while (sequence.size() < length) {
    FsOperation operation = random_operation(random_);
    const std::string text = describe(operation);
    if (left_out_.find(" " + text.substr(0, text.find(' ')) + " ") == std::string::npos) {
      sequence.push_back(std::move(operation));
    }
  }
  operation_count_ += length;
  std::optional<Difference> difference = replay(sequence);
  if (!difference) {
    return {};
  }
  std::string text = "first seen: " + difference->text + "\n";
  sequence.resize(std::min(sequence.size(), difference->operation + 1));
  std::vector<FsOperation> shorter = shorten(sequence);
  difference = replay(shorter);
  if (difference) {
    sequence = std::move(shorter);
  }
  text += difference ? "shortened: " + difference->text : "does not happen again";
  for (const FsOperation& operation : sequence) {
    text += "\n  " + describe(operation);
  }
  return text;
}

std::optional<FsModel::Difference> FsModel::replay(const std::vector<FsOperation>& sequence) {
  const std::string name = "run" + std::to_string(replay_count_++);
  FsSide mount = make_side(places_.mount, name, std::nullopt);
  FsSide local = make_side(places_.local, name, places_.owner);
  std::optional<Difference> found;
  for (size_t i = 0; i < sequence.size() && !found; ++i) {
    const Outcome is = run_operation(mount, sequence[i]);
    const Outcome expected = run_operation(local, sequence[i]);
    std::string text = compare(is, expected);
    if (text.empty() && i % kTreeEvery == kTreeEvery - 1) {
      text = tree_difference(tree_of(mount), tree_of(local));
    }
    if (!text.empty()) {
      found = Difference{describe(sequence[i]) + "\n  " + text, i};
    }
  }
  mount.close_all();
  local.close_all();
  if (!found) {
    const auto expected = tree_of(local);
    std::string text = tree_difference(tree_of(mount), expected);
    // A file that nobody wrote to is made there after its last close, which does not wait.
    const FsSide remote(places_.remote + "/" + name, places_.owner);
    if (text.empty() && !wait_until([&] { return tree_of(remote) == expected; }, 3000)) {
      text = "on the remote host:\n" + tree_difference(tree_of(remote), expected);
    }
    if (!text.empty()) {
      found = Difference{"the trees at the end:\n" + text, sequence.size()};
    }
  }
  // By the remote host's root: modes do not matter there.
  CHECK(wait_until([&] {
    std::error_code error;
    std::filesystem::remove_all(places_.remote + "/" + name, error);
    return !error;
  }));
  std::filesystem::remove_all(local.root());
  return found;
}

// Leaves out ever smaller pieces, the later ones first, as long as there is a difference without
// them.
std::vector<FsOperation> FsModel::shorten(std::vector<FsOperation> sequence) {
  const auto end = std::chrono::steady_clock::now() + kShortenFor;
  size_t piece = std::max<size_t>(sequence.size() / 2, 1);
  while (std::chrono::steady_clock::now() < end) {
    const size_t length = sequence.size();
    for (size_t after = sequence.size(); after > 0; after -= std::min(piece, after)) {
      const auto first = static_cast<ptrdiff_t>(after - std::min(piece, after));
      std::vector<FsOperation> shorter = sequence;
      shorter.erase(shorter.begin() + first, shorter.begin() + static_cast<ptrdiff_t>(after));
      if (replay(shorter)) {
        sequence = std::move(shorter);
      }
    }
    if (piece == 1 && sequence.size() == length) {
      break;
    }
    piece = std::max<size_t>(piece / 2, 1);
  }
  return sequence;
}

}  // namespace cpaway::testing
