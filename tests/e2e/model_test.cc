// The mount against a local directory: random operations on both, call by call. A few thousand, the
// same ones always, here; by hand, with CPAWAY_TEST_SECONDS, others until something is found.
#include <cstdlib>

#include "tests/e2e/fs_model.h"
#include "tests/e2e/mounted_remote.h"
#include "tests/support/random_bytes.h"

namespace cpaway::testing {
namespace {

constexpr size_t kSequence = 300;
constexpr int kSequences = 12;
constexpr uint32_t kSeed = 5;

class Model : public MountedRemote {
 protected:
  void run(const std::string& options, const std::string& left_out) {
    mount(options);
    ASSERT_EQ(::mkdir(local("model").c_str(), 0755), 0);
    const char* seconds = ::getenv("CPAWAY_TEST_SECONDS");
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 0);
    const uint32_t seed = seconds != nullptr ? random_seed() : kSeed;
    FsModel model({mountpoint(),
                   on_remote(""),
                   local("model"),
                   {sshd().user().uid, sshd().user().gid},
                   left_out},
                  seed);
    std::string failure;
    for (int i = 0; failure.empty() && (i < kSequences || std::chrono::steady_clock::now() < end);
         ++i) {
      failure = model.run_sequence(kSequence);
    }
    EXPECT_EQ(failure, "") << "CPAWAY_TEST_SECONDS=1 CPAWAY_TEST_SEED=" << seed;
    std::cout << model.operations() << " operations\n";
  }
};

TEST_F(Model, DoesWhatALocalDirectoryDoes) {
  run("", "");
}

// Its unlinks are delayed. Files that are locked it replaces all the same.
TEST_F(Model, DoesSoForACopyingProgram) {
  run("copy_programs=cpaway_e2e_test", "flock lock ");
}

}  // namespace
}  // namespace cpaway::testing
