// Listings of large directories, and of such as change while they are listed.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr int kFiles = 5000;

class Directories : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (!IsSkipped()) {
      must("mkdir " + on_remote("d") + " && cd " + on_remote("d") + " && seq -f 'name-%05g' " +
           std::to_string(kFiles) + " | xargs touch && chown -R --reference=.. .");
      mount();
      dir_.reset(::opendir(on_mount("d").c_str()));
      ASSERT_NE(dir_, nullptr);
    }
  }
  void TearDown() override {
    dir_.reset();
    MountedRemote::TearDown();
  }

  // The next `count` names, all without it.
  std::vector<std::string> names(int count = kFiles * 10) {
    std::vector<std::string> names;
    while (count-- > 0) {
      const dirent* const entry = ::readdir(dir_.get());
      if (entry == nullptr) {
        break;
      }
      names.emplace_back(entry->d_name);
    }
    return names;
  }

  struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  std::unique_ptr<DIR, CloseDir> dir_;
};

TEST_F(Directories, ListEveryNameOnceWhileOthersComeAndGo) {
  std::multiset<std::string> seen;
  std::set<std::string> removed;
  for (int round = 0;; ++round) {
    const auto some = names(700);
    if (some.empty()) {
      break;
    }
    seen.insert(some.begin(), some.end());
    for (size_t i = 0; i < some.size(); i += 2) {
      if (some[i].starts_with("name-")) {
        ASSERT_EQ(::unlink(on_mount("d/" + some[i]).c_str()), 0) << some[i];
        removed.insert(some[i]);
      }
    }
    ASSERT_EQ(::mkdir(on_mount("d/new" + std::to_string(round)).c_str(), 0755), 0);
  }
  const auto listed = std::set<std::string>(seen.begin(), seen.end());
  EXPECT_EQ(listed.size(), seen.size()) << "a name came twice";
  EXPECT_GE(listed.size(), size_t{kFiles} + 2);
  ::rewinddir(dir_.get());
  const auto again = names();
  EXPECT_GE(again.size(), size_t{kFiles} + 2 - removed.size());
  for (const std::string& name : again) {
    EXPECT_FALSE(removed.contains(name)) << name;
  }
}

TEST_F(Directories, PositionsMeanTheSameEntryUntilTheListingIsClosed) {
  std::map<long, std::string> next;
  for (int i = 0; i < 2000; ++i) {
    const long position = ::telldir(dir_.get());
    next[position] = names(1).at(0);
  }
  const std::string gone = names(1).at(0);
  ASSERT_EQ(::unlink(on_mount("d/" + gone).c_str()), 0);
  for (auto at = next.rbegin(); at != next.rend(); ++at) {
    ::seekdir(dir_.get(), at->first);
    ASSERT_EQ(names(1).at(0), at->second);
  }
}

TEST_F(Directories, AreRemovedWithAllThatIsInThem) {
  must("cd " + mountpoint() +
       " && for i in 1 2 3; do mkdir -p t/$i && cp d/name-00?$i* t/$i; done");
  must("rm -r " + on_mount("t") + " " + on_mount("d"));
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
}

// The agent may have listed the directory before, and its answer come after the commit.
TEST_F(Directories, AFileIsListedWhileItIsCommitted) {
  for (int i = 0; i < 150; ++i) {
    const std::string name = "new" + std::to_string(i);
    UniqueFd fd = open_on_mount("d/" + name, O_WRONLY | O_CREAT);
    std::thread closes([&] { fd.reset(); });
    bool listed = false;
    for (const auto& entry : std::filesystem::directory_iterator(on_mount("d"))) {
      listed = listed || entry.path().filename() == name;
    }
    closes.join();
    ASSERT_TRUE(listed) << name;
  }
}

}  // namespace
}  // namespace cpaway::testing
