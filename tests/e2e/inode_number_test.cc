// Inode numbers: the remote ones, or what programs saw first, for as long as the file is there.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

class InodeNumber : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      write_remote("untouched", "content");
      write_remote("replaced", "content");
      mount();
    }
  }
  static uint64_t number_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
    return st.st_ino;
  }
  // While it is written, and after.
  uint64_t write(const std::string& name) {
    const UniqueFd fd = open_on_mount(name, O_WRONLY | O_CREAT | O_TRUNC);
    struct stat st {};
    EXPECT_EQ(::fstat(fd.get(), &st), 0);
    put(fd, "more content");
    return st.st_ino;
  }
  // As a listing has them.
  std::map<std::string, uint64_t> listed() {
    std::map<std::string, uint64_t> numbers;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(mountpoint().c_str()), &::closedir);
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
      numbers[entry->d_name] = entry->d_ino;
    }
    return numbers;
  }
  void expect_numbers(const std::map<std::string, uint64_t>& expected) {
    const auto seen = listed();
    for (const auto& [name, number] : expected) {
      EXPECT_EQ(number_of(on_mount(name)), number) << name;
      ASSERT_TRUE(seen.contains(name)) << name;
      EXPECT_EQ(seen.at(name), number) << name;
    }
  }
};

TEST_F(InodeNumber, StaysInTheNextMount) {
  const std::map<std::string, uint64_t> numbers = {{"untouched", number_of(on_remote("untouched"))},
                                                   {"replaced", number_of(on_remote("replaced"))},
                                                   {"new", write("new")}};
  EXPECT_EQ(write("replaced"), numbers.at("replaced"));
  expect_numbers(numbers);
  unmount();
  mount();
  expect_numbers(numbers);
}

TEST_F(InodeNumber, GoesWithARename) {
  const uint64_t number = write("new");
  ASSERT_EQ(::rename(on_mount("new").c_str(), on_mount("other").c_str()), 0);
  unmount();
  mount();
  expect_numbers({{"other", number}});
}

}  // namespace
}  // namespace cpaway::testing
