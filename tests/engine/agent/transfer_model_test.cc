// Random uploads against an array in memory: whatever is sent, cut and resumed, the file committed
// is the array.
#include <gtest/gtest.h>
#include <zstd.h>

#include <random>

#include "engine/base/strings.h"
#include "tests/engine/agent/upload_client.h"
#include "tests/support/random_bytes.h"
#include "tests/support/temp_dir.h"

namespace cpaway::testing {
namespace {

using wire::kLiteral;
using wire::kStagingBasis;

constexpr size_t kMaxFile = 40000;
constexpr size_t kMaxBlock = 6000;

class ModelTest : public ::testing::Test {
 protected:
  size_t below(size_t bound) { return random_() % bound; }
  Bytes some_bytes(size_t size) {
    return below(4) == 0 ? Bytes(size, 0) : random_bytes(size, random_());
  }

  // The staging file as the agent finds it is the start of the model: what is not written over
  // stays.
  void open_transfer(const std::string& name) {
    const auto init = agent_->init("f", name);
    ASSERT_TRUE(init) << init.error().to_string();
    staging_name_ = init->staging_name;
    EXPECT_EQ(init->kept_size, model_.size());
    if (old_) {
      ASSERT_TRUE(agent_->basis(1, "f"));
    }
    ASSERT_TRUE(agent_->basis(2, "other"));
  }
  void put(size_t offset, ByteSpan bytes) {
    model_.resize(std::max(model_.size(), offset + bytes.size()));
    std::copy(bytes.begin(), bytes.end(), model_.begin() + static_cast<ptrdiff_t>(offset));
  }
  size_t some_offset() { return below(3) == 0 ? below(kMaxFile) : model_.size(); }

  void send_block() {
    const size_t offset = some_offset();
    const Bytes bytes = some_bytes(1 + below(kMaxBlock));
    ASSERT_TRUE(agent_->block(offset, bytes).value());
    put(offset, bytes);
  }
  // What a basis holds there: less than `size` behind its end.
  ByteSpan held(uint8_t basis, size_t offset, size_t size) const {
    const Bytes& bytes = basis == 1 ? *old_ : basis == 2 ? other_ : model_;
    const size_t from = std::min(offset, bytes.size());
    return ByteSpan(bytes).subspan(from, std::min(size, bytes.size() - from));
  }
  uint8_t some_basis() {
    const size_t choice = below(3);
    return choice == 0 && old_ ? 1 : choice == 1 && resumed_ ? kStagingBasis : 2;
  }
  void send_delta() {
    const size_t offset = some_offset();
    Bytes content;
    Bytes literals;
    std::vector<wire::Segment> segments;
    for (size_t left = 1 + below(5); left > 0; --left) {
      const auto size = static_cast<uint32_t>(1 + below(1500));
      if (below(2) == 0) {
        const Bytes bytes = some_bytes(size);
        literals = joined(literals, bytes);
        content = joined(content, bytes);
        segments.push_back({kLiteral, size, 0});
        continue;
      }
      const uint8_t basis = some_basis();
      const size_t from = below(2) == 0 ? offset + content.size() : below(kMaxFile);
      segments.push_back({basis, size, from});
      Bytes bytes(held(basis, from, size).begin(), held(basis, from, size).end());
      bytes.resize(size);  // zeros behind the end
      content = joined(content, bytes);
    }
    send(offset, content, segments, literals);
  }
  void send(size_t offset, const Bytes& content, const std::vector<wire::Segment>& segments,
            const Bytes& literals) {
    Bytes bulk = literals;
    uint8_t coding = wire::kPlain;
    if (!literals.empty() && below(2) == 0) {
      coding = wire::kZstd;
      bulk.resize(ZSTD_compressBound(literals.size()));
      bulk.resize(ZSTD_compress(bulk.data(), bulk.size(), literals.data(), literals.size(), 1));
    }
    const bool good = agent_->delta(offset, content, segments, bulk, coding).value();
    // What was only noted is not in the staging file yet; a mount then sends the bytes, too.
    const bool may_differ = std::any_of(segments.begin(), segments.end(), [](const auto& segment) {
      return segment.basis == kStagingBasis;
    });
    ASSERT_TRUE(good || may_differ);
    ASSERT_TRUE(good || agent_->block(offset, content).value());
    put(offset, content);
  }
  // As mounts send a file that did not change, or only behind some place.
  void send_same() {
    const uint8_t basis = old_ && below(4) != 0 ? 1 : some_basis();
    const size_t offset = model_.size();
    const ByteSpan bytes = held(basis, offset, 1 + below(kMaxBlock));
    if (!bytes.empty() && basis != kStagingBasis) {
      ASSERT_TRUE(agent_->same(basis, offset, bytes).value());
      put(offset, bytes);
    }
  }
  void send_wrong() {
    const Bytes bytes = random_bytes(100, random_());
    EXPECT_FALSE(agent_->delta(some_offset(), bytes, {{2, 100, below(1000)}}).value());
  }
  void truncate() {
    model_.resize(below(kMaxFile));
    ASSERT_TRUE(agent_->truncate(model_.size()));
  }
  void read() {
    const size_t offset = below(kMaxFile);
    const ByteSpan expected = held(kStagingBasis, offset, 5000);
    EXPECT_EQ(agent_->read(offset, 5000).value(), Bytes(expected.begin(), expected.end()));
  }
  // The upload is cut, or given up and begun again. What was only noted is not in the file, so it
  // is read first. A file that got nothing but a size is not kept.
  void cut() {
    ASSERT_TRUE(agent_->read(0, 1));
    const bool by_name = below(2) == 0;
    if (below(2) == 0) {
      ASSERT_TRUE(agent_->cancel(true));
    } else {
      agent_->finish();
      agent_.emplace(dir_.path());
    }
    resumed_ = true;
    open_transfer(by_name ? staging_name_ : "");
  }
  bool is_kept() {
    const auto status = agent_->client().call(wire::TransferStatus{kUpload});
    return !model_.empty() && (resumed_ || (status && status->bytes_acknowledged > 0));
  }
  void step() {
    switch (below(12)) {
      case 0:
      case 1:
        return send_block();
      case 2:
      case 3:
      case 4:
        return send_delta();
      case 5:
      case 6:
      case 7:
      case 8:
        return send_same();
      case 9:
        return send_wrong();
      case 10:
        return below(2) == 0 ? truncate() : read();
      default:
        return is_kept() ? cut() : send_same();
    }
  }
  void commit() {
    const bool with_digest = below(2) == 0;
    const auto answer = agent_->commit(
        model_.size(), with_digest ? std::optional(hash::sha256(model_)) : std::nullopt);
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->sha256, hash::sha256(model_));
    EXPECT_EQ(answer->attr.size, model_.size());
    ASSERT_EQ(read_file(dir_.file("f")), as_text(model_));
    EXPECT_TRUE(staging_in(dir_.path()).empty());
  }

  const TempDir dir_;
  unsigned seed_ = testing::random_seed();
  std::mt19937 random_{seed_};
  std::optional<UploadClient> agent_;
  std::string staging_name_;
  std::optional<Bytes> old_;
  Bytes other_;
  Bytes model_;
  bool resumed_ = false;
};

TEST_F(ModelTest, WhatIsCommittedIsWhatWasSent) {
  SCOPED_TRACE(concat("seed ", seed_));
  other_ = random_bytes(30000, random_());
  write_file(dir_.file("other"), as_text(other_));
  agent_.emplace(dir_.path());
  for (int version = 0; version < 60; ++version) {
    model_.clear();
    resumed_ = false;
    ASSERT_NO_FATAL_FAILURE(open_transfer(""));
    for (size_t left = below(25); left > 0; --left) {
      ASSERT_NO_FATAL_FAILURE(step()) << "version " << version;
    }
    ASSERT_NO_FATAL_FAILURE(commit()) << "version " << version;
    old_ = model_;
  }
}

}  // namespace
}  // namespace cpaway::testing
