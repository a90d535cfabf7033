// One open store: environment, schema, and what the writer does to it.
//
// Readers use env() and health() on any thread, while they hold the shared_ptr that keeps it open.
// All else is the writer's.
#pragma once

#include <memory>
#include <string>

#include "cache/changes.h"
#include "cache/checkpoint_store.h"
#include "cache/env.h"
#include "cache/hash_index.h"
#include "cache/health.h"

namespace cpaway::cache {

class Database {
 public:
  // Errc::version where the schema is another's.
  [[nodiscard]] static Result<std::shared_ptr<Database>> open(const std::string& directory,
                                                              uint64_t max_size);

  [[nodiscard]] Env& env() { return *env_; }
  [[nodiscard]] Health& health() { return *health_; }
  [[nodiscard]] uint64_t next_record() const { return next_record_; }

  // All of it or nothing.
  [[nodiscard]] Status apply(const Batch& batch);
  // Evicts until `needed` bytes more keep the store below its size, or nothing is left to evict.
  // Returns how many versions went.
  [[nodiscard]] Result<uint64_t> make_room(uint64_t needed);
  // The same, and by at least `least` bytes, and so that the next batch finds the freed pages.
  [[nodiscard]] Result<uint64_t> make_more_room(uint64_t least);
  [[nodiscard]] Result<uint64_t> bytes_used();

 private:
  Database(std::unique_ptr<Env> env, std::unique_ptr<Health> health, uint64_t max_size,
           HashIndex index, CheckpointStore checkpoints, uint64_t next_record)
      : env_(std::move(env)),
        health_(std::move(health)),
        max_size_(max_size),
        index_(index),
        checkpoints_(checkpoints),
        next_record_(next_record) {}
  [[nodiscard]] static Status check_schema(Env& env);
  [[nodiscard]] Status apply_in(WriteTxn& txn, const Batch& batch);
  [[nodiscard]] Result<uint64_t> evict_to(uint64_t goal);
  [[nodiscard]] Result<uint64_t> evict_some(uint64_t goal);
  [[nodiscard]] Status turn();

  const std::unique_ptr<Env> env_;
  const std::unique_ptr<Health> health_;
  const uint64_t max_size_;
  HashIndex index_;
  CheckpointStore checkpoints_;
  const uint64_t next_record_;  // when it was opened
  uint64_t turns_ = 0;
};

}  // namespace cpaway::cache
