// The journal of a mount that runs without a store: remembers nothing. Thread-safe.
#pragma once

#include "engine/upload/journal.h"

namespace cpaway::cache {

class NullJournal : public upload::Journal {
 public:
  std::optional<upload::KnownVersion> find_version(const upload::VersionKey& /*key*/) override {
    return std::nullopt;
  }
  std::vector<upload::KnownFile> find_similar(const std::vector<hash::BlockHash>& /*ids*/,
                                              size_t /*limit*/) override {
    return {};
  }
  void remember(upload::KnownVersion /*version*/) override {}
  void rekey(const upload::VersionKey& /*before*/, const upload::KnownFile& /*now*/) override {}
  std::optional<upload::Checkpoint> find_checkpoint(const std::string& /*path*/) override {
    return std::nullopt;
  }
  std::vector<upload::Checkpoint> checkpoints() override { return {}; }
  void start_checkpoint(const std::string& /*path*/, const std::string& /*staging*/) override {}
  void acknowledge(const std::string& /*path*/,
                   const upload::AcknowledgedBlock& /*block*/) override {}
  void drop_checkpoint(const std::string& /*path*/) override {}
  std::optional<uint64_t> find_number(const upload::FileIdentity& /*file*/) override {
    return std::nullopt;
  }
  bool is_taken(uint64_t /*number*/, const upload::FileIdentity& /*by_others_than*/) override {
    return false;
  }
  void remember_number(const upload::FileIdentity& /*file*/, uint64_t /*number*/) override {}
  void forget_number(const upload::FileIdentity& /*file*/, uint64_t /*number*/) override {}
  void record(upload::TransferRecord /*record*/) override {}
  std::vector<upload::TransferRecord> recent(size_t /*limit*/) override { return {}; }
};

}  // namespace cpaway::cache
