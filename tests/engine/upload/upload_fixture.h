// Uploads to the real agent, in this process, each step awaited.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "cache/null_journal.h"
#include "engine/base/fault.h"
#include "engine/upload/upload.h"
#include "tests/support/in_process_agent.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::upload {

class UploadTest : public ::testing::Test {
 protected:
  void TearDown() override {
    fault::points().damage_block = 0;
    // No staging file is left, whatever happened.
    EXPECT_TRUE(testing::wait_until([this] { return staging_files() == 0; }));
    EXPECT_TRUE(testing::wait_until([this] { return window_.used() == 0; }));
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

  std::shared_ptr<Upload> start(const std::string& name, Hints hints = {}) {
    return Upload::create({agent_, workers_, window_, timer_, journal_, 3}, name, std::move(hints));
  }

  static Status write(Upload& upload, uint64_t offset, ByteSpan data) {
    std::promise<Status> done;
    upload.write(offset, data, [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  // Writes all of it in pieces of `piece` bytes.
  static void write_all(Upload& upload, ByteSpan data, size_t piece) {
    for (size_t at = 0; at < data.size(); at += piece) {
      ASSERT_TRUE(write(upload, at, data.subspan(at, std::min(piece, data.size() - at))));
    }
  }

  static Result<wire::CommitAnswer> commit(Upload& upload, const std::string& name,
                                           bool exclusive = false) {
    wire::Placement placement;
    placement.path = name;
    placement.exclusive = exclusive;
    std::promise<Result<wire::CommitAnswer>> done;
    upload.commit(placement, false, [&done](Result<wire::CommitAnswer> answer) {
      done.set_value(std::move(answer));
    });
    return done.get_future().get();
  }

  static Status truncate(Upload& upload, uint64_t size) {
    std::promise<Status> done;
    upload.truncate(size, [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  static Result<Bytes> read(Upload& upload, uint64_t offset, uint32_t size) {
    std::promise<Result<Bytes>> done;
    upload.read(offset, size, [&done](Result<Bytes> bytes) { done.set_value(std::move(bytes)); });
    return done.get_future().get();
  }

  static Result<uint64_t> seek(Upload& upload, uint64_t offset, bool hole) {
    std::promise<Result<uint64_t>> done;
    upload.seek(offset, hole, [&done](Result<uint64_t> at) { done.set_value(std::move(at)); });
    return done.get_future().get();
  }

  static Status allocate(Upload& upload, uint32_t mode, uint64_t offset, uint64_t size) {
    std::promise<Status> done;
    upload.allocate(mode, offset, size,
                    [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }

  static Result<uint64_t> copy(Upload& upload, uint64_t offset, uint32_t source,
                               uint64_t source_offset, uint64_t size) {
    std::promise<Result<uint64_t>> done;
    upload.copy(offset, source, source_offset, size,
                [&done](Result<uint64_t> copied) { done.set_value(std::move(copied)); });
    return done.get_future().get();
  }

  testing::TempDir dir_;
  cache::NullJournal journal_;
  Timer timer_;
  Window window_{8ULL << 20U};
  testing::InProcessAgent agent_{dir_.path()};
  Executor workers_{"test", 2};
};

}  // namespace cpaway::upload
