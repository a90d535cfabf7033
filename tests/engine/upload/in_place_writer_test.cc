#include "engine/upload/in_place_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <random>

#include "cache/null_journal.h"
#include "engine/base/fault.h"
#include "engine/base/mutex.h"
#include "tests/support/in_process_agent.h"
#include "tests/support/random_bytes.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace cpaway::upload {
namespace {

using testing::random_bytes;
using wire::Op;

// Counts requests on their way to the agent; may hold back or refuse the questions among them.
class Tap : public client::Requester {
 public:
  explicit Tap(client::Requester& agent) : agent_(agent) {}

  void submit(wire::Frame frame, client::Priority priority, Done done) override {
    const Op op = static_cast<Op>(frame.head[sizeof(uint32_t)]);
    if (op == Op::write) {
      ++writes;
    }
    if (op == Op::compare) {
      ++compares;
      if (refuse_compare) {
        done(fail_os(EACCES, "compare"));
        return;
      }
      const MutexLock lock(mutex_);
      if (holding_) {
        held_.emplace_back([this, frame, priority, done] { agent_.submit(frame, priority, done); });
        return;
      }
    }
    agent_.submit(std::move(frame), priority, std::move(done));
  }
  void hold_compares() {
    const MutexLock lock(mutex_);
    holding_ = true;
  }
  void let_compares_go() {
    std::vector<std::function<void()>> held;
    {
      const MutexLock lock(mutex_);
      holding_ = false;
      held.swap(held_);
    }
    for (const auto& one : held) {
      one();
    }
  }

  std::atomic<int> writes{0};
  std::atomic<int> compares{0};
  std::atomic<bool> refuse_compare{false};

 private:
  client::Requester& agent_;
  Mutex mutex_;
  bool holding_ CPAWAY_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> held_ CPAWAY_GUARDED_BY(mutex_);
};

class InPlaceWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_.path() + "/f") << std::string(100'000, 'o');
    open_ = testing::ask(agent_, wire::Open{7, "f", wire::kOpenRead | wire::kOpenWrite, 0});
    ASSERT_TRUE(open_);
    start(100'000);
  }
  void TearDown() override {
    fault::points().damage_block = 0;
    EXPECT_FALSE(writer_->busy());
    EXPECT_TRUE(testing::wait_until([this] { return window_.used() == 0; }));
    agent_.close();  // late answers still find the workers
  }
  void start(uint64_t known_size) {
    writer_ = InPlaceWriter::create({tap_, workers_, window_, timer_, journal_, 3}, 7, known_size);
  }
  // The file is these bytes, and the writer knows it.
  void set_content(const Bytes& bytes) {
    std::ofstream(dir_.path() + "/f", std::ios::binary) << as_text(bytes);
    start(bytes.size());
  }
  void write_all(const Bytes& bytes, size_t block) {
    for (size_t at = 0; at < bytes.size(); at += block) {
      write(at, ByteSpan(bytes).subspan(at, std::min(block, bytes.size() - at)));
    }
  }
  void write(uint64_t offset, ByteSpan data) { ASSERT_TRUE(try_write(offset, data)); }
  Status try_write(uint64_t offset, ByteSpan data) {
    std::promise<Status> done;
    writer_->write(offset, data, [&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }
  // Does not wait for the answer.
  void begin_write(uint64_t offset, ByteSpan data) {
    writer_->write(offset, data, [](const Status& status) { EXPECT_TRUE(status); });
  }
  Status drain() {
    std::promise<Status> done;
    writer_->drain([&done](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }
  std::string content() const {
    std::ifstream in(dir_.path() + "/f", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  testing::TempDir dir_;
  cache::NullJournal journal_;
  Timer timer_;
  Window window_{4ULL << 20U};
  testing::InProcessAgent agent_{dir_.path()};
  Tap tap_{agent_};
  Executor workers_{"test", 2};
  Result<client::WithBulk<wire::Attr>> open_;
  std::shared_ptr<InPlaceWriter> writer_;
};

TEST_F(InPlaceWriterTest, WritesLandWhereTheyBelong) {
  write(10, as_bytes("hello"));
  write(99'998, as_bytes("tail"));
  ASSERT_TRUE(drain());
  const std::string now = content();
  EXPECT_EQ(now.size(), 100'002U);
  EXPECT_EQ(now.substr(8, 9), "oohelloo" + std::string("o"));
  EXPECT_EQ(now.substr(99'998), "tail");
}

// Overlapping writes in quick succession, some damaged on the way: the last one wins.
TEST_F(InPlaceWriterTest, OverlappingWritesKeepTheirOrder) {
  const uint32_t seed = testing::random_seed();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  fault::points().damage_block = 2;
  std::string model(100'000, 'o');
  for (int i = 0; i < 500; ++i) {
    const size_t offset = random() % 1000;
    const std::string text(1 + random() % 300, static_cast<char>('a' + i % 26));
    write(offset, as_bytes(text));
    model.replace(offset, text.size(), text);
  }
  ASSERT_TRUE(drain());
  EXPECT_EQ(content(), model);
}

// What the others say later, the first says itself.
TEST_F(InPlaceWriterTest, TheFirstWriteIsAnsweredWhenItHasArrived) {
  fault::points().damage_block = -1;
  const Status first = try_write(0, as_bytes("x"));
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Errc::verify);
  fault::points().damage_block = 0;
  ASSERT_TRUE(drain());
  write(0, as_bytes("y"));
  EXPECT_EQ(content()[0], 'y');  // it was the first to arrive
}

TEST_F(InPlaceWriterTest, FailureIsReportedOnce) {
  write(0, as_bytes("o"));
  fault::points().damage_block = -1;
  write(0, as_bytes("x"));
  std::promise<void> idle;
  writer_->wait([&idle] { idle.set_value(); });
  idle.get_future().get();
  const Status first = drain();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Errc::verify);
  fault::points().damage_block = 0;
  ASSERT_TRUE(drain());
  write(0, as_bytes("y"));
  ASSERT_TRUE(drain());
  EXPECT_EQ(content()[0], 'y');
}

TEST_F(InPlaceWriterTest, OnlyWhatDiffersIsSent) {
  Bytes bytes = random_bytes(4 * wire::kBlockSize + 5000, 1);
  set_content(bytes);
  bytes[100] ^= 1U;
  bytes[2 * wire::kBlockSize + kComparePiece - 1] ^= 1U;
  bytes[2 * wire::kBlockSize + kComparePiece] ^= 1U;
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(content(), as_text(bytes));
  // One piece; two adjacent ones; and the end, which is too small to be compared.
  EXPECT_EQ(tap_.writes, 3);
  EXPECT_EQ(tap_.compares, 4);
  EXPECT_EQ(writer_->progress().sent, 3 * kComparePiece + 5000U);
  EXPECT_EQ(writer_->progress().matched, bytes.size() - writer_->progress().sent);
  EXPECT_EQ(writer_->progress().acknowledged, bytes.size());
}

// What a program writes is new, even if it is the same.
TEST_F(InPlaceWriterTest, EqualBytesStillChangeTheTimes) {
  const Bytes bytes = random_bytes(3 * wire::kBlockSize, 2);
  set_content(bytes);
  const std::string path = dir_.path() + "/f";
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(24);
  std::filesystem::last_write_time(path, long_ago);
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(writer_->progress().sent, 1U);
  EXPECT_GT(std::filesystem::last_write_time(path), long_ago + std::chrono::hours(1));
  std::filesystem::last_write_time(path, long_ago);
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(writer_->progress().sent, 2U);
  EXPECT_GT(std::filesystem::last_write_time(path), long_ago + std::chrono::hours(1));
}

TEST_F(InPlaceWriterTest, AppendsAreNotCompared) {
  const Bytes bytes = random_bytes(3 * wire::kBlockSize, 3);
  set_content(Bytes(bytes.begin(), bytes.begin() + wire::kBlockSize));
  for (size_t at = wire::kBlockSize; at < bytes.size(); at += 1U << 17U) {
    write(at, ByteSpan(bytes).subspan(at, 1U << 17U));
  }
  ASSERT_TRUE(drain());
  EXPECT_EQ(tap_.compares, 0);
  EXPECT_EQ(content(), as_text(bytes));
  // What was appended is then part of the file; what was cut off is not.
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(tap_.compares, 3);
  writer_->set_known_size(0);
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(tap_.compares, 3);
}

// A block across the end: the part inside is compared, the rest sent.
TEST_F(InPlaceWriterTest, TheEndOfTheFileMayLieInABlock) {
  const Bytes bytes = random_bytes(wire::kBlockSize, 4);
  const size_t old_size = 500'000;
  set_content(Bytes(bytes.begin(), bytes.begin() + old_size));
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(content(), as_text(bytes));
  EXPECT_EQ(writer_->progress().sent, bytes.size() - old_size);
}

TEST_F(InPlaceWriterTest, FreshContentIsNotComparedForLong) {
  const size_t block = 1U << 16U;
  set_content(random_bytes(16 * wire::kBlockSize, 5));
  const Bytes bytes = random_bytes(16 * wire::kBlockSize, 6);
  for (size_t at = 0; at < bytes.size(); at += block) {
    write(at, ByteSpan(bytes).subspan(at, block));
    ASSERT_TRUE(drain());  // so that each answer is there before the next block
  }
  EXPECT_EQ(content(), as_text(bytes));
  EXPECT_EQ(writer_->progress().sent, bytes.size());
  EXPECT_LT(tap_.compares, 20);  // of 256
}

TEST_F(InPlaceWriterTest, WhereComparingFailsAllIsSent) {
  const Bytes bytes = random_bytes(4 * wire::kBlockSize, 7);
  set_content(bytes);
  tap_.refuse_compare = true;
  write(0, ByteSpan(bytes).first(wire::kBlockSize));
  ASSERT_TRUE(drain());
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(drain());
  EXPECT_EQ(tap_.compares, 1);
  EXPECT_EQ(writer_->progress().sent, bytes.size() + wire::kBlockSize);
}

TEST_F(InPlaceWriterTest, ComparesAreInFlightTogetherAndAwaited) {
  const Bytes bytes = random_bytes(3 * wire::kBlockSize, 8);
  set_content(bytes);
  write(0, ByteSpan(bytes).first(1));  // the first to arrive
  tap_.hold_compares();
  write_all(bytes, wire::kBlockSize);
  ASSERT_TRUE(testing::wait_until([this] { return tap_.compares == 3; }));
  std::promise<Status> drained;
  writer_->drain([&drained](Status status) { drained.set_value(std::move(status)); });
  auto future = drained.get_future();
  EXPECT_EQ(future.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_TRUE(writer_->busy());
  EXPECT_EQ(window_.used(), bytes.size());
  tap_.let_compares_go();
  ASSERT_TRUE(future.get());
}

// A write over a range that is being compared waits, and wins.
TEST_F(InPlaceWriterTest, AWriteOverAnOpenQuestionWaits) {
  Bytes bytes = random_bytes(wire::kBlockSize, 9);
  set_content(Bytes(wire::kBlockSize, 'o'));
  tap_.hold_compares();
  begin_write(0, bytes);
  ASSERT_TRUE(testing::wait_until([this] { return tap_.compares == 1; }));
  begin_write(50'000, as_bytes("later"));
  EXPECT_EQ(tap_.writes, 0);
  tap_.let_compares_go();
  ASSERT_TRUE(drain());
  std::copy_n(as_bytes("later").begin(), 5, bytes.begin() + 50'000);
  EXPECT_EQ(content(), as_text(bytes));
}

// Equal and other content, large and small, overlapping, some damaged on the way.
TEST_F(InPlaceWriterTest, AnyMixtureEndsAsWritten) {
  const uint32_t seed = testing::random_seed();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  Bytes model = random_bytes(2 * wire::kBlockSize, seed);
  set_content(model);
  fault::points().damage_block = 3;
  for (int i = 0; i < 200; ++i) {
    const size_t size = 1 + random() % 300'000;
    const size_t offset = random() % model.size();
    model.resize(std::max(model.size(), offset + size));
    Bytes data(model.begin() + static_cast<ptrdiff_t>(offset),
               model.begin() + static_cast<ptrdiff_t>(offset + size));
    for (uint32_t change = random() % 4; change > 0; --change) {
      data[random() % size] ^= 0x55U;
    }
    write(offset, data);
    std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(offset));
  }
  ASSERT_TRUE(drain());
  EXPECT_EQ(content(), as_text(model));
}

}  // namespace
}  // namespace cpaway::upload
