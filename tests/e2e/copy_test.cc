// The main job: what cp, cp -a and mv bring there is there, whole, under its final name.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

constexpr size_t kMiB = 1UL << 20U;

class Copy : public MountedRemote {};

TEST_F(Copy, BigFileThereAndBack) {
  mount();
  const std::string file = make_file("big", 100 * kMiB + 12345);
  must("cp " + file + " " + on_mount("big"));
  const std::string digest = sha256_of_file(file);
  EXPECT_EQ(sha256_of_file(on_remote("big")), digest);
  EXPECT_EQ(sha256_on_mount("big"), digest);
  must("cp " + on_mount("big") + " " + local("back"));
  EXPECT_EQ(sha256_of_file(local("back")), digest);
}

// A file that came to the remote host by another way has a digest, too.
TEST_F(Copy, DigestOfAFileThatWeDidNotWrite) {
  mount();
  write_file(on_remote("f"), "made there");
  EXPECT_EQ(sha256_on_mount("f"), sha256_of_file(on_remote("f")));
}

TEST_F(Copy, TreeKeepsModesTimesAndLinks) {
  mount();
  must("mkdir " + local("tree") + " && cd " + local("tree") +
       " && cp -a /usr/include/linux . && mkdir -m 750 d && echo x > d/x && chmod 400 d/x"
       " && ln -s ../no/such/target d/link && touch -d @1000000000.123456789 d/x linux"
       " && : > empty && chmod 777 empty");
  must("cp -a " + local("tree") + " " + on_mount("tree"));
  must("diff -r --no-dereference " + local("tree") + " " + on_remote("tree"));
  const std::string list = " -printf '%P %m %y %l %T@ %n\\n' | sort";
  const std::string here = shell("find " + local("tree") + list).out;
  EXPECT_EQ(shell("find " + on_remote("tree") + list).out, here);
  EXPECT_EQ(shell("find " + on_mount("tree") + list).out, here);
  must("diff -r --no-dereference " + local("tree") + " " + on_mount("tree"));
  must("rm -r " + on_mount("tree"));
  EXPECT_EQ(remote_names(), std::vector<std::string>{});
}

TEST_F(Copy, MoveInWithinAndOut) {
  mount();
  const std::string digest = sha256_of_file(make_file("m", 3 * kMiB));
  must("mv " + local("m") + " " + on_mount("m"));
  EXPECT_EQ(sha256_of_file(on_remote("m")), digest);
  must("mkdir " + on_mount("d") + " && mv " + on_mount("m") + " " + on_mount("d/n"));
  EXPECT_EQ(sha256_of_file(on_remote("d/n")), digest);
  EXPECT_EQ(::access(on_remote("m").c_str(), F_OK), -1);
  must("mv " + on_mount("d/n") + " " + local("out"));
  EXPECT_EQ(sha256_of_file(local("out")), digest);
  EXPECT_EQ(::access(on_remote("d/n").c_str(), F_OK), -1);
}

// At every instant a reader on the remote host sees the old file or the new one, and the old one
// until cp is about to return.
TEST_F(Copy, ReaderSeesOldOrNew) {
  mount();
  const std::string old_file = make_file("old", 5 * kMiB);
  const std::string new_file = make_file("new", 60 * kMiB);
  must("cp " + old_file + " " + on_mount("f"));
  const std::string old_digest = sha256_of_file(old_file);
  const std::string new_digest = sha256_of_file(new_file);
  std::atomic<bool> done{false};
  std::atomic<int> seen_old{0};
  std::atomic<int> seen_other{0};
  std::thread reader([&] {
    while (!done) {
      const std::string digest = sha256_of_file(on_remote("f"));
      seen_old += digest == old_digest ? 1 : 0;
      seen_other += digest != old_digest && digest != new_digest ? 1 : 0;
    }
  });
  must("cp " + new_file + " " + on_mount("f"));
  done = true;
  EXPECT_EQ(sha256_of_file(on_remote("f")), new_digest);
  reader.join();
  EXPECT_GT(seen_old, 0);
  EXPECT_EQ(seen_other, 0);
}

TEST_F(Copy, ManyProgramsAtOnce) {
  mount("window=8M");
  const std::string file = make_file("f", 5 * kMiB + 1);
  must("for i in $(seq 20); do cp " + file + " " + on_mount("") + "c$i & done; wait");
  const std::string digest = sha256_of_file(file);
  for (int i = 1; i <= 20; ++i) {
    EXPECT_EQ(sha256_of_file(on_remote("c" + std::to_string(i))), digest);
  }
}

TEST_F(Copy, ThroughTheSshProgram) {
  mount("ssh_command=ssh");
  const std::string file = make_file("f", 10 * kMiB);
  must("cp " + file + " " + on_mount("f"));
  EXPECT_EQ(sha256_of_file(on_remote("f")), sha256_of_file(file));
}

TEST_F(Copy, StatusTellsOfIt) {
  mount();
  const std::string file = make_file("f", 3 * kMiB);
  must("cp " + file + " " + on_mount("f"));
  const Finished json = run_command({std::string(CPAWAY_BIN) + "/cpaway", "status", "--json",
                                     "--state-dir", local("state"), mountpoint()});
  const Finished plain = shell("XDG_STATE_HOME=/nonexistent " + std::string(CPAWAY_BIN) +
                               "/cpaway status " + mountpoint());
  const std::string out = json.exit_status == 0 ? json.out : plain.out;
  EXPECT_NE(out.find(sha256_of_file(file)), std::string::npos) << json.err << plain.err;
}

}  // namespace
}  // namespace cpaway::testing
