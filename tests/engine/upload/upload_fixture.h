// Uploads to the real agent, which a thread of the test program serves from a directory of its own.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>

#include "cache/null_journal.h"
#include "engine/base/executor.h"
#include "engine/base/fault.h"
#include "engine/base/timer.h"
#include "engine/upload/upload.h"
#include "tests/support/in_process_agent.h"
#include "tests/support/random_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::testing {

class UploadTest : public ::testing::Test {
 public:
  void TearDown() override {
    fault::points().damage_block = 0;
    // No staging file is left, whatever happened.
    EXPECT_TRUE(wait_until([this] { return staging_files() == 0; }));
    EXPECT_TRUE(wait_until([this] { return window_.used() == 0; }));
    agent_.close();  // late answers still find the workers
  }

  std::string path(const std::string& name) const { return dir_.path() + "/" + name; }

  Bytes content(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  int staging_files() const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      count += entry.path().filename().string().starts_with(".cpaway-") ? 1 : 0;
    }
    return count;
  }

  std::shared_ptr<upload::Upload> start(const std::string& name, upload::Hints hints = {}) {
    return upload::Upload::create({agent_, workers_, window_, timer_, journal(), 3}, name,
                                  std::move(hints));
  }

  static Status write(upload::Upload& upload, uint64_t offset, ByteSpan data) {
    std::promise<Status> done;
    upload.write(offset, data, [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  // Writes all of it in pieces of `piece` bytes.
  static void write_all(upload::Upload& upload, ByteSpan data, size_t piece) {
    for (size_t at = 0; at < data.size(); at += piece) {
      ASSERT_TRUE(write(upload, at, data.subspan(at, std::min(piece, data.size() - at))));
    }
  }

  static Result<wire::CommitAnswer> commit(upload::Upload& upload, const std::string& name,
                                           bool exclusive = false) {
    wire::Placement placement;
    placement.path = name;
    placement.exclusive = exclusive;
    std::promise<Result<wire::CommitAnswer>> done;
    upload.commit(placement, false, nullptr, [&done](Result<wire::CommitAnswer> answer) {
      done.set_value(std::move(answer));
    });
    return done.get_future().get();
  }

  static Status truncate(upload::Upload& upload, uint64_t size) {
    std::promise<Status> done;
    upload.truncate(size, [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  static Result<Bytes> read(upload::Upload& upload, uint64_t offset, uint32_t size) {
    std::promise<Result<Bytes>> done;
    upload.read(offset, size, [&done](Result<Bytes> bytes) { done.set_value(std::move(bytes)); });
    return done.get_future().get();
  }

  static Result<uint64_t> seek(upload::Upload& upload, uint64_t offset, bool hole) {
    std::promise<Result<uint64_t>> done;
    upload.seek(offset, hole, [&done](Result<uint64_t> at) { done.set_value(std::move(at)); });
    return done.get_future().get();
  }

  static Status allocate(upload::Upload& upload, uint32_t mode, uint64_t offset, uint64_t size) {
    std::promise<Status> done;
    upload.allocate(mode, offset, size,
                    [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  static Result<uint64_t> copy(upload::Upload& upload, uint64_t offset, uint32_t source,
                               uint64_t source_offset, uint64_t size) {
    std::promise<Result<uint64_t>> done;
    upload.copy(offset, source, source_offset, size,
                [&done](Result<uint64_t> copied) { done.set_value(std::move(copied)); });
    return done.get_future().get();
  }

  virtual upload::Journal& journal() { return null_journal_; }

  TempDir dir_;
  cache::NullJournal null_journal_;
  Timer timer_;
  upload::Window window_{8ULL << 20U};
  InProcessAgent agent_{dir_.path()};
  Executor workers_{"test", 2};
};

}  // namespace cpaway::testing
