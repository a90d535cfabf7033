// One file on the mount, changed at random in every way that a file's content can be changed, and
// compared with an array. CPAWAY_TEST_OPERATIONS for a long run.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <sstream>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"
#include "tests/support/random_bytes.h"

namespace cpaway::testing {
namespace {

constexpr uint64_t kMaxSize = 3U << 20U;
constexpr uint64_t kPage = 4096;
constexpr size_t kRemembered = 60;

class RandomFile {
 public:
  RandomFile(std::string path, uint32_t seed) : path_(std::move(path)), random_(seed) {
    reopen(O_CREAT | O_TRUNC);
  }

  // False where the file is not what it should be; story() then says how it came to that.
  bool step() {
    struct Kind {
      unsigned weight;
      bool (RandomFile::*run)();
    };
    static constexpr std::array<Kind, 9> kKinds{{{25, &RandomFile::read},
                                                 {25, &RandomFile::write},
                                                 {12, &RandomFile::map_read},
                                                 {12, &RandomFile::map_write},
                                                 {8, &RandomFile::truncate},
                                                 {6, &RandomFile::close_and_open},
                                                 {4, &RandomFile::sync},
                                                 {5, &RandomFile::allocate},
                                                 {3, &RandomFile::copy_range}}};
    auto left = static_cast<unsigned>(random_() % 100);
    size_t kind = 0;
    while (left >= kKinds.at(kind).weight) {
      left -= kKinds.at(kind).weight;
      ++kind;
    }
    return (this->*kKinds.at(kind).run)() && has_right_size();
  }

  void close() { EXPECT_EQ(::close(fd_.release()), 0); }
  [[nodiscard]] std::string content() const { return {content_.begin(), content_.end()}; }
  [[nodiscard]] std::string story() const {
    std::string text;
    for (const std::string& line : story_) {
      text += line + "\n";
    }
    return text;
  }

 private:
  struct Range {
    uint64_t start = 0;
    uint64_t size = 0;
    [[nodiscard]] uint64_t end() const { return start + size; }
  };

  Range random_range() {
    constexpr std::array<uint64_t, 4> kLimits{100, 9000, 70'000, 300'000};
    Range range{random_() % kMaxSize, 1 + random_() % kLimits.at(random_() % 4)};
    if (random_() % 2 == 0 && !content_.empty()) {
      range.start = random_() % content_.size();
    }
    range.size = std::min(range.size, kMaxSize - range.start);
    return range;
  }
  // At most to the end of the file; empty where it begins behind.
  [[nodiscard]] Range inside(Range range) const {
    const uint64_t start = std::min<uint64_t>(range.start, content_.size());
    return {start, std::min<uint64_t>(range.end(), content_.size()) - start};
  }

  void say(const std::string& what, Range range) {
    story_.push_back(std::to_string(++count_) + " " + what + " " + std::to_string(range.start) +
                     " + " + std::to_string(range.size));
    if (story_.size() > kRemembered) {
      story_.pop_front();
    }
  }
  bool failed(const std::string& why) {
    story_.push_back(why + ", errno " + std::to_string(errno));
    return false;
  }

  bool matches(ByteSpan is, Range range) {
    for (uint64_t i = 0; i < range.size; ++i) {
      if (is[i] != content_[range.start + i]) {
        std::ostringstream text;
        text << "byte " << range.start + i << " is " << int{is[i]} << ", not "
             << int{content_[range.start + i]};
        return failed(text.str());
      }
    }
    return true;
  }
  void put(Range range, const Bytes& bytes) {
    content_.resize(std::max<uint64_t>(content_.size(), range.end()));
    std::copy(bytes.begin(), bytes.end(), content_.begin() + static_cast<ptrdiff_t>(range.start));
  }

  bool reopen(int flags) {
    fd_.reset();
    fd_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC | flags, 0644));
    return fd_ ? true : failed("open");
  }
  bool has_right_size() {
    struct stat st {};
    if (::fstat(fd_.get(), &st) == 0 && static_cast<uint64_t>(st.st_size) == content_.size()) {
      return true;
    }
    errno = 0;
    const bool synced = ::fsync(fd_.get()) == 0;
    return failed("size is " + std::to_string(st.st_size) + ", not " +
                  std::to_string(content_.size()) + (synced ? ", fsync 0" : ", fsync failed"));
  }

  bool read() {
    const Range range = random_range();
    say("read", range);
    Bytes bytes(range.size);
    const ssize_t got =
        ::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(range.start));
    const Range expected = inside(range);
    return got == static_cast<ssize_t>(expected.size) ? matches(bytes, expected)
                                                      : failed("read " + std::to_string(got));
  }

  bool write() {
    Range range = random_range();
    say("write", range);
    const Bytes bytes = random_bytes(range.size, random_());
    if (::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(range.start)) !=
        static_cast<ssize_t>(bytes.size())) {
      return failed("write");
    }
    put(range, bytes);
    return true;
  }

  bool map_read() { return with_map(false); }
  bool map_write() { return with_map(true); }
  bool with_map(bool writes) {
    const Range range = inside(random_range());
    say(writes ? "map write" : "map read", range);
    if (range.size == 0) {
      return true;
    }
    const uint64_t start = range.start / kPage * kPage;
    void* const map = ::mmap(nullptr, range.end() - start, PROT_READ | PROT_WRITE, MAP_SHARED,
                             fd_.get(), static_cast<off_t>(start));
    if (map == MAP_FAILED) {
      return failed("mmap");
    }
    auto* const bytes = static_cast<uint8_t*>(map) + (range.start - start);
    bool good = true;
    if (writes) {
      const Bytes content = random_bytes(range.size, random_());
      std::copy(content.begin(), content.end(), bytes);
      put(range, content);
      good = random_() % 3 != 0 || ::msync(map, range.end() - start, MS_SYNC) == 0;
    } else {
      good = matches(ByteSpan(bytes, range.size), range);
    }
    ::munmap(map, range.end() - start);
    return good;
  }

  bool truncate() {
    const uint64_t size = random_range().start;
    say("truncate", {0, size});
    const bool by_path = random_() % 2 == 0;
    if ((by_path ? ::truncate(path_.c_str(), static_cast<off_t>(size))
                 : ::ftruncate(fd_.get(), static_cast<off_t>(size))) != 0) {
      return failed("truncate");
    }
    content_.resize(size);
    return true;
  }

  bool close_and_open() {
    const uint64_t chance = random_() % 8;
    const int flags = chance == 0 ? O_TRUNC : chance == 1 ? O_SYNC : 0;
    say(flags == O_TRUNC ? "close and truncate" : "close", {});
    if (flags == O_TRUNC) {
      content_.clear();
    }
    return reopen(flags);
  }

  bool sync() {
    say("fsync", {});
    return (random_() % 2 == 0 ? ::fsync(fd_.get()) : ::fdatasync(fd_.get())) == 0 ||
           failed("fsync");
  }

  // Where the mount can: punches a hole, or makes a range zeros.
  bool allocate() {
    const Range range = random_range();
    const bool punches = random_() % 2 == 0;
    say(punches ? "punch" : "zero", range);
    if (::fallocate(fd_.get(),
                    punches ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE,
                    static_cast<off_t>(range.start), static_cast<off_t>(range.size)) != 0) {
      return errno == EOPNOTSUPP || failed("fallocate");
    }
    const Range zeroed = punches ? inside(range) : range;
    put(zeroed, Bytes(zeroed.size));
    return true;
  }

  bool copy_range() {
    const Range from = inside(random_range());
    const uint64_t to = random_range().start;
    if (from.size == 0 || to + from.size > kMaxSize ||
        (to < from.end() && from.start < to + from.size)) {
      return true;
    }
    say("copy to " + std::to_string(to) + " from", from);
    auto from_at = static_cast<off64_t>(from.start);
    auto to_at = static_cast<off64_t>(to);
    const ssize_t copied = ::copy_file_range(fd_.get(), &from_at, fd_.get(), &to_at, from.size, 0);
    if (copied < 0) {
      return errno == EOPNOTSUPP || failed("copy_file_range");
    }
    const auto first = content_.begin() + static_cast<ptrdiff_t>(from.start);
    put({to, static_cast<uint64_t>(copied)}, Bytes(first, first + copied));
    return true;
  }

  const std::string path_;
  std::mt19937_64 random_;
  UniqueFd fd_;
  Bytes content_;
  std::deque<std::string> story_;
  uint64_t count_ = 0;
};

class RandomData : public MountedRemote {};

TEST_F(RandomData, IsWhatWasWritten) {
  mount();
  const char* given = ::getenv("CPAWAY_TEST_OPERATIONS");
  const int operations = given != nullptr ? std::atoi(given) : 2000;
  const uint32_t seed = random_seed();
  RandomFile file(on_mount("f"), seed);
  for (int i = 0; i < operations; ++i) {
    ASSERT_TRUE(file.step()) << "CPAWAY_TEST_SEED=" << seed << "\n" << file.story() << log();
  }
  file.close();
  EXPECT_TRUE(read_file(on_remote("f")) == file.content()) << "CPAWAY_TEST_SEED=" << seed;
}

}  // namespace
}  // namespace cpaway::testing
