// What the client names by an id of its own choice: open handles, and transfers.
//
// The client sends requests on an id right behind the request that makes it, without waiting. So a
// failed open or init leaves its error under the id until close or cancel, and requests on the id
// get it. Requests on one id run on its strand, in order. Thread-safe; the reader adds, and a
// commit, whose handle nobody uses before its answer.
#pragma once

#include <cerrno>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "engine/base/executor.h"
#include "engine/base/mutex.h"
#include "engine/base/result.h"
#include "engine/base/strings.h"

namespace cpaway::agent {

inline constexpr size_t kMaxIds = 65536;

template <class Item>
class IdTable {
 public:
  using Pointer = std::shared_ptr<Item>;

  // `what` names the kind of id in errors.
  IdTable(const char* what, Executor& executor) : what_(what), executor_(executor) {}

  // EINVAL where the id is 0 or in use, Errc::limit where the table is full.
  [[nodiscard]] Status check_free(uint32_t id) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (id == 0 || slots_.contains(id)) {
      return fail_os(EINVAL, concat(what_, " ", id, " is 0 or in use"));
    }
    if (slots_.size() >= kMaxIds) {
      return fail(Errc::limit, concat("more than ", kMaxIds, " ", what_, "s"));
    }
    return {};
  }

  // `id` has passed check_free.
  void add(uint32_t id, Result<Pointer> item) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    slots_.emplace(id, Slot{Strand(executor_), std::move(item)});
  }

  // The item; EBADF where there is none; the error of the request that should have made it.
  [[nodiscard]] Result<Pointer> find(uint32_t id) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto slot = slots_.find(id);
    if (slot == slots_.end()) {
      return fail_os(EBADF, concat("no ", what_, " ", id));
    }
    return slot->second.item;
  }

  [[nodiscard]] std::optional<Strand> strand(uint32_t id) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto slot = slots_.find(id);
    return slot == slots_.end() ? std::nullopt : std::optional(slot->second.strand);
  }

  // Frees the id. Null where the item was never made; EBADF where there is none.
  [[nodiscard]] Result<Pointer> remove(uint32_t id) CPAWAY_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    auto node = slots_.extract(id);
    if (node.empty()) {
      return fail_os(EBADF, concat("no ", what_, " ", id));
    }
    return node.mapped().item ? *node.mapped().item : nullptr;
  }

 private:
  struct Slot {
    Strand strand;
    Result<Pointer> item;
  };

  const char* const what_;
  Executor& executor_;
  Mutex mutex_;
  std::unordered_map<uint32_t, Slot> slots_ CPAWAY_GUARDED_BY(mutex_);
};

}  // namespace cpaway::agent
