// The mount against a local directory: random operations on both, call by call. Short here; long
// with CPAWAY_TEST_SECONDS.
#include <cstdlib>

#include "tests/e2e/fs_model.h"
#include "tests/e2e/mounted_remote.h"
#include "tests/support/random_bytes.h"

namespace cpaway::testing {
namespace {

constexpr size_t kSequence = 300;

class Model : public MountedRemote {
 protected:
  void run(const std::string& options) {
    mount(options);
    ASSERT_EQ(::mkdir(local("model").c_str(), 0755), 0);
    const char* given = ::getenv("CPAWAY_TEST_SECONDS");
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(given != nullptr ? std::atoi(given) : 6);
    const uint32_t seed = random_seed();
    FsModel model(
        {mountpoint(), on_remote(""), local("model"), {sshd().user().uid, sshd().user().gid}},
        seed);
    std::string failure;
    while (failure.empty() && std::chrono::steady_clock::now() < end) {
      failure = model.run_sequence(kSequence);
    }
    EXPECT_EQ(failure, "") << "CPAWAY_TEST_SEED=" << seed;
    std::cout << model.operations() << " operations\n";
  }
};

TEST_F(Model, DoesWhatALocalDirectoryDoes) {
  run("");
}

// Its unlinks are delayed.
TEST_F(Model, DoesSoForACopyingProgram) {
  run("copy_programs=cpaway_e2e_test");
}

}  // namespace
}  // namespace cpaway::testing
