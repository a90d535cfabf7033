#include "engine/upload/in_place_writer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <iterator>
#include <random>

#include "cache/null_journal.h"
#include "engine/base/fault.h"
#include "tests/support/in_process_agent.h"
#include "tests/support/temp_dir.h"

namespace cpaway::upload {
namespace {

class InPlaceWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(dir_.path() + "/f") << std::string(100'000, 'o');
    open_ = testing::ask(agent_, wire::Open{7, "f", wire::kOpenRead | wire::kOpenWrite, 0});
    ASSERT_TRUE(open_);
    writer_ = InPlaceWriter::create({agent_, workers_, window_, timer_, journal_, 3}, 7);
  }
  void TearDown() override {
    fault::points().damage_block = 0;
    EXPECT_FALSE(writer_->busy());
    EXPECT_EQ(window_.used(), 0U);
  }
  void write(uint64_t offset, ByteSpan data) {
    std::promise<Status> done;
    writer_->write(offset, data, [&done](Status status) { done.set_value(std::move(status)); });
    ASSERT_TRUE(done.get_future().get());
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
  Window window_{1ULL << 20U};
  Executor workers_{"test", 2};
  testing::InProcessAgent agent_{dir_.path()};
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
  const uint32_t seed = std::random_device{}();
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

TEST_F(InPlaceWriterTest, FailureIsReportedOnce) {
  fault::points().damage_block = -1;
  write(0, as_bytes("x"));
  const Status first = drain();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Errc::verify);
  fault::points().damage_block = 0;
  ASSERT_TRUE(drain());
  write(0, as_bytes("y"));
  ASSERT_TRUE(drain());
  EXPECT_EQ(content()[0], 'y');
}

}  // namespace
}  // namespace cpaway::upload
