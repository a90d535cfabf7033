// Every way in which a mount cannot be made: one clear line, a documented exit code, nothing left.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

class MountError : public MountedRemote {
 protected:
  // The line must hold `text`.
  void expect_failure(const Finished& finished, int exit_status, const std::string& text) {
    EXPECT_EQ(finished.exit_status, exit_status) << finished.err;
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_TRUE(finished.err.starts_with("cpaway: ")) << finished.err;
    EXPECT_NE(finished.err.find(text), std::string::npos) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_FALSE(mounted());
  }
};

TEST_F(MountError, Options) {
  expect_failure(try_mount("nosuchoption"), 1, "nosuchoption");
  expect_failure(try_mount("port=x"), 1, "port");
  expect_failure(try_mount("", "nohostgiven"), 1, "nohostgiven");
}

TEST_F(MountError, Mountpoint) {
  expect_failure(try_mount("", "", local("missing")), 3, local("missing"));
  write_file(local("file"), "");
  expect_failure(try_mount("", "", local("file")), 3, local("file"));
  write_file(mountpoint() + "/full", "");
  expect_failure(try_mount(""), 3, "not empty");
  must("rm " + mountpoint() + "/full");
  mount();
  const Finished again = try_mount("");
  EXPECT_EQ(again.exit_status, 3);
  EXPECT_NE(again.err.find("already mounted"), std::string::npos) << again.err;
}

TEST_F(MountError, Host) {
  expect_failure(try_mount("", "user@no-such-host.invalid:/"), 4, "no-such-host.invalid");
  expect_failure(try_mount("port=1"), 4, "port 1");
}

TEST_F(MountError, HostKey) {
  write_file(local("unknown"), "");
  expect_failure(try_mount("UserKnownHostsFile=" + local("unknown")), 5, "not known");
  must("ssh-keygen -q -t ed25519 -N '' -f " + local("other"));
  must("echo \"[127.0.0.1]:" + std::to_string(sshd().port()) + " $(cat " + local("other.pub") +
       ")\" > " + local("changed"));
  expect_failure(try_mount("UserKnownHostsFile=" + local("changed")), 5, "changed");
}

TEST_F(MountError, Login) {
  expect_failure(try_mount("", "nosuchuser@127.0.0.1:" + on_remote("")), 6, "nosuchuser");
  expect_failure(try_mount("IdentityFile=" + local("no-key")), 1, local("no-key"));
}

TEST_F(MountError, RemoteDirectory) {
  const std::string login = sshd().user().name + "@127.0.0.1:";
  expect_failure(try_mount("", login + "/no/such/dir"), 7, "/no/such/dir");
  write_file(on_remote("file"), "");
  expect_failure(try_mount("", login + on_remote("file")), 7, on_remote("file"));
  ASSERT_EQ(::mkdir(on_remote("private").c_str(), 0700), 0);  // root's
  expect_failure(try_mount("", login + on_remote("private")), 7, on_remote("private"));
}

TEST_F(MountError, DeadMountIsRecovered) {
  mount();
  must("pkill -9 -f 'cpaway mount.*" + mountpoint() + "'");
  EXPECT_TRUE(wait_until([this] { return sshd().session_count() == 0; }));
  EXPECT_NE(shell("ls " + mountpoint()).exit_status, 0);
  mount();
  must("echo x > " + on_mount("f"));
  EXPECT_EQ(read_file(on_remote("f")), "x\n");
}

TEST_F(MountError, MountCpawayAndPlainFormWork) {
  const std::string options = "port=" + std::to_string(sshd().port()) +
                              ",IdentityFile=" + sshd().login().identity_files.at(0) +
                              ",UserKnownHostsFile=" + sshd().login().known_hosts_file +
                              ",state_dir=" + local("state") + ",log=" + local("log") +
                              ",_netdev,nofail,x-systemd.automount";
  const std::string bin = CPAWAY_BIN;
  for (const std::string& program : {bin + "/mount.cpaway", bin + "/cpaway"}) {
    const Finished finished = run_command({program, source(), mountpoint(), "-o", options});
    EXPECT_EQ(finished.exit_status, 0) << finished.err;
    EXPECT_TRUE(mounted());
    must("echo x > " + on_mount("f"));
    unmount();
  }
  const Finished failed =
      run_command({bin + "/mount.cpaway", source(), local("missing"), "-o", options});
  EXPECT_EQ(failed.exit_status, 32);
}

}  // namespace
}  // namespace cpaway::testing
