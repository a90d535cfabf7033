// A private sshd on loopback (or in another network namespace), with keys, known_hosts and
// configuration of its own.
//
// The recipe is the same that tools/quickstart uses. Nothing of it outlives the object but the
// test user. What the remote user's agent cache holds is below dir() too. Needs root.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/transport/transport.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_user.h"

namespace cpaway::testing {

class TestSshd {
 public:
  struct Options {
    std::string user = kTestUser;
    std::vector<std::string> config;    // lines of sshd_config, which win over the fixture's own
    bool noisy = false;                 // the login prints text before each command
    std::string network;                // path of the network namespace it runs in; "": this one
    std::string address = "127.0.0.1";  // where it listens
  };

  // True where this process may run one (root, sshd installed); tests skip otherwise.
  [[nodiscard]] static bool available();

  // Starts it and waits until it answers; aborts, with its log, where it does not.
  TestSshd() : TestSshd(Options()) {}
  explicit TestSshd(const Options& options);
  ~TestSshd();
  TestSshd(const TestSshd&) = delete;
  TestSshd& operator=(const TestSshd&) = delete;

  // How to log in: by its key, and known_hosts that holds the host's.
  [[nodiscard]] transport::LoginOptions login() const;
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const TestUser& user() const { return user_; }
  [[nodiscard]] const std::string& dir() const { return dir_.path(); }
  [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }
  [[nodiscard]] std::string log() const { return read_file(file("sshd.log")); }
  // XDG_CACHE_HOME of the login.
  [[nodiscard]] std::string cache_dir() const { return file("cache"); }

  // Kills the sessions, not the listener: what a lost link looks like.
  void kill_sessions();
  // Ends the listener and all sessions; start() brings it back on the same port.
  void stop();
  void start();
  [[nodiscard]] size_t session_count() const;
  // The agents that run in its sessions.
  [[nodiscard]] std::vector<pid_t> agents() const;

 private:
  void make_keys();
  void write_config(const Options& options);
  [[nodiscard]] bool listening() const;

  TempDir dir_;
  TestUser user_;
  std::string network_;
  std::string address_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// All descendants of `pid`, by /proc. Nearest first.
[[nodiscard]] std::vector<pid_t> descendants(pid_t pid);
// The first word of /proc/PID/comm, "" where the process has gone.
[[nodiscard]] std::string process_name(pid_t pid);

}  // namespace cpaway::testing
