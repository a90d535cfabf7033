// A directory that operations of the model test run in, with the files they hold open there: one
// on the mount, one beside it that says what must happen.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "engine/base/fd.h"

struct stat;

namespace cpaway::testing {

// What a program sees of an operation.
struct Outcome {
  int64_t value = 0;
  int error = 0;
  std::string data;
  int64_t links = -1;  // st_nlink, where it was asked for

  bool operator==(const Outcome&) const = default;
};

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

class FsSide {
 public:
  static constexpr size_t kSlots = 8;

  // With an owner, operations are made with that user's rights: the ones that the login user has
  // on the remote host.
  FsSide(std::string root, std::optional<FileOwner> owner);

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string full(const std::string& path) const { return root_ + "/" + path; }
  [[nodiscard]] const std::optional<FileOwner>& owner() const { return owner_; }
  [[nodiscard]] int fd(size_t slot) const { return slots_.at(slot).get(); }
  void put(size_t slot, UniqueFd fd) { slots_.at(slot) = std::move(fd); }
  // As close(2): 0, or an errno.
  int close(size_t slot);
  void close_all();

 private:
  std::string root_;
  std::optional<FileOwner> owner_;
  std::array<UniqueFd, kSlots> slots_;
};

// The calling thread has the rights of the side's owner for as long as it lives.
class ActAsOwner {
 public:
  explicit ActAsOwner(const FsSide& side);
  ~ActAsOwner();
  ActAsOwner(const ActAsOwner&) = delete;
  ActAsOwner& operator=(const ActAsOwner&) = delete;

 private:
  bool changed_ = false;
};

// Type, mode, size and the time of change where it was set explicitly: to a year in the past.
[[nodiscard]] std::string text_of(const struct stat& st);
// What the tree at the side's root holds, by path: attributes, content, link targets, xattrs, and
// which names are links to one file.
[[nodiscard]] std::map<std::string, std::string> tree_of(const FsSide& side);
// "name:type" of all that a directory lists, sorted; the errno otherwise.
[[nodiscard]] Outcome list_directory(int fd);
[[nodiscard]] std::string text_of_xattrs(const std::string& path);

}  // namespace cpaway::testing
