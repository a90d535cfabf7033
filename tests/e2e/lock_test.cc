// Locks, between two mounts of one directory, programs on one of them, and the remote host itself.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <thread>

#include "engine/base/fd.h"
#include "tests/e2e/mounted_remote.h"

namespace cpaway::testing {
namespace {

enum class Family { posix, flock };

// The answer of a system call: 0 or its errno.
int set_lock(int fd, Family family, short type, bool wait, off_t start = 0, off_t size = 0) {
  if (family == Family::flock) {
    const int operation = type == F_WRLCK ? LOCK_EX : type == F_RDLCK ? LOCK_SH : LOCK_UN;
    return ::flock(fd, operation | (wait ? 0 : LOCK_NB)) == 0 ? 0 : errno;
  }
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = start;
  range.l_len = size;
  return ::fcntl(fd, wait ? F_SETLKW : F_SETLK, &range) == 0 ? 0 : errno;
}

void ignore_signal(int /*signal*/) {}

// A program that opens a file, locks it, says how that went, and holds it until it is told to end.
class Locker {
 public:
  struct What {
    Family family = Family::posix;
    short type = F_WRLCK;
    bool wait = false;
    int flags = O_RDWR | O_CREAT;
    bool restarts = false;       // its handler of SIGUSR1 restarts system calls
    std::string_view text = {};  // that it writes before
  };

  Locker(const std::string& path, const What& what) {
    std::array<int, 2> said{};
    std::array<int, 2> told{};
    EXPECT_EQ(::pipe2(said.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(told.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(told[1]);
      run(path, what, said[1], told[0]);
    }
    ::close(said[1]);
    ::close(told[0]);
    said_.reset(said[0]);
    told_.reset(told[1]);
  }
  ~Locker() { end(SIGKILL); }
  Locker(const Locker&) = delete;
  Locker& operator=(const Locker&) = delete;

  // 0 or the errno of its lock; -1 where it still waits after `timeout_ms`.
  int result(int timeout_ms = 20'000) {
    if (result_ < 0) {
      pollfd waiting{said_.get(), POLLIN, 0};
      unsigned char byte = 0;
      if (::poll(&waiting, 1, timeout_ms) == 1 && ::read(said_.get(), &byte, 1) == 1) {
        result_ = byte;
      }
    }
    return result_;
  }
  bool waits() { return result(300) < 0; }
  // It unlocks, and says so; then it closes and ends.
  void unlock() {
    EXPECT_EQ(::write(told_.get(), "u", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read(said_.get(), &byte, 1), 1);
  }
  // It closes another descriptor of the same file.
  void close_a_copy() {
    EXPECT_EQ(::write(told_.get(), "c", 1), 1);
    char byte = 0;
    EXPECT_EQ(::read(said_.get(), &byte, 1), 1);
  }
  void signal(int number) const { ::kill(pid_, number); }
  void end(int number) {
    if (pid_ > 0) {
      ::kill(pid_, number);
      ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }
  }

 private:
  [[noreturn]] static void run(const std::string& path, const What& what, int say, int listen) {
    struct sigaction action {};
    action.sa_handler = ignore_signal;
    action.sa_flags = what.restarts ? SA_RESTART : 0;
    ::sigaction(SIGUSR1, &action, nullptr);
    const int fd = ::open(path.c_str(), what.flags, 0644);
    const int copy = ::open(path.c_str(), O_RDONLY);
    ::write(fd, what.text.data(), what.text.size());
    auto error = static_cast<unsigned char>(
        fd < 0 ? errno : set_lock(fd, what.family, what.type, what.wait));
    ::write(say, &error, 1);
    char told = 0;
    while (::read(listen, &told, 1) == 1) {
      if (told == 'u') {
        error = static_cast<unsigned char>(set_lock(fd, what.family, F_UNLCK, false));
      } else {
        ::close(copy);
      }
      ::write(say, &error, 1);
    }
    ::_exit(0);
  }

  pid_t pid_ = -1;
  int result_ = -1;
  UniqueFd said_;
  UniqueFd told_;
};

class LockOnMounts : public MountedRemote {
 protected:
  void SetUp() override {
    MountedRemote::SetUp();
    if (IsSkipped()) {
      return;
    }
    mount();
    mount_second();
    write_remote("f", "content");
  }

  static std::string cpaway() { return std::string(CPAWAY_BIN) + "/cpaway"; }
  static pid_t mount_pid(const std::string& state_dir, const std::string& mountpoint) {
    const Finished status =
        run_command({cpaway(), "status", "--json", "--state-dir", state_dir, mountpoint});
    const size_t at = status.out.find("\"pid\":");
    return at == std::string::npos ? -1 : std::stoi(status.out.substr(at + 6));
  }
  static pid_t parent_of(pid_t pid) {
    const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    const size_t at = stat.rfind(") ");
    return at == std::string::npos ? 0 : std::atoi(stat.c_str() + at + 4);
  }
  // The sshd processes of an agent's connection, without the one that listens.
  static std::vector<pid_t> session_of(pid_t agent) {
    std::vector<pid_t> found;
    for (pid_t pid = parent_of(agent); process_name(pid) == "sshd"; pid = parent_of(pid)) {
      found.push_back(pid);
    }
    if (!found.empty()) {
      found.pop_back();
    }
    return found;
  }
  // As a program of the remote host, which has neither mount between it and the file.
  int try_there(const std::string& name, Family family, short type) const {
    const UniqueFd fd(::open(on_remote(name).c_str(), O_RDWR | O_CLOEXEC));
    return fd ? set_lock(fd.get(), family, type, false) : errno;
  }
};

constexpr std::array<Family, 2> kFamilies = {Family::posix, Family::flock};

TEST_F(LockOnMounts, ExcludeEverybodyElse) {
  for (const Family family : kFamilies) {
    Locker holder(on_mount("f"), {family});
    ASSERT_EQ(holder.result(), 0);
    EXPECT_EQ(Locker(on_mount("f"), {family}).result(), EAGAIN);
    EXPECT_EQ(Locker(on_second("f"), {family}).result(), EAGAIN);
    EXPECT_EQ(Locker(on_second("f"), {family, F_RDLCK}).result(), EAGAIN);
    EXPECT_EQ(try_there("f", family, F_RDLCK), EAGAIN);
    holder.unlock();
    EXPECT_EQ(try_there("f", family, F_WRLCK), 0);
    EXPECT_EQ(Locker(on_second("f"), {family}).result(), 0);
  }
}

TEST_F(LockOnMounts, ReadersShare) {
  for (const Family family : kFamilies) {
    Locker first(on_mount("f"), {family, F_RDLCK});
    Locker second(on_second("f"), {family, F_RDLCK});
    EXPECT_EQ(first.result(), 0);
    EXPECT_EQ(second.result(), 0);
    EXPECT_EQ(try_there("f", family, F_RDLCK), 0);
    EXPECT_EQ(try_there("f", family, F_WRLCK), EAGAIN);
  }
}

TEST_F(LockOnMounts, TheRemoteHostTakesPart) {
  for (const Family family : kFamilies) {
    const UniqueFd there(::open(on_remote("f").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(set_lock(there.get(), family, F_WRLCK, false), 0);
    Locker waiting(on_mount("f"), {family, F_WRLCK, true});
    EXPECT_TRUE(waiting.waits());
    ASSERT_EQ(set_lock(there.get(), family, F_UNLCK, false), 0);
    EXPECT_EQ(waiting.result(), 0);
    EXPECT_EQ(set_lock(there.get(), family, F_WRLCK, false), EAGAIN);
  }
}

TEST_F(LockOnMounts, WaitingEndsWhenTheLockIsLetGo) {
  for (const Family family : kFamilies) {
    for (const std::string& where : {on_mount("f"), on_second("f")}) {
      // It waits: an flock of the last round goes a moment after its program.
      auto holder = std::make_unique<Locker>(on_mount("f"), Locker::What{family, F_WRLCK, true});
      ASSERT_EQ(holder->result(), 0);
      Locker by_unlock(where, {family, F_WRLCK, true});
      EXPECT_TRUE(by_unlock.waits());
      holder->unlock();
      EXPECT_EQ(by_unlock.result(), 0);
      Locker by_death(on_second("f"), {family, F_WRLCK, true});
      EXPECT_TRUE(by_death.waits());
      by_unlock.end(SIGKILL);
      EXPECT_EQ(by_death.result(), 0);
    }
  }
}

// POSIX: any close of the file by the process; flock: the last one of the description.
TEST_F(LockOnMounts, CloseLetsGo) {
  Locker posix(on_mount("f"), {Family::posix});
  Locker flock(on_mount("f"), {Family::flock});
  ASSERT_EQ(posix.result(), 0);
  ASSERT_EQ(flock.result(), 0);
  posix.close_a_copy();
  flock.close_a_copy();
  EXPECT_EQ(try_there("f", Family::posix, F_WRLCK), 0);
  EXPECT_EQ(try_there("f", Family::flock, F_WRLCK), EAGAIN);
  flock.end(SIGTERM);
  EXPECT_TRUE(wait_until([this] { return try_there("f", Family::flock, F_WRLCK) == 0; }));
}

// One after the other on one mount: the close of the first is never taken for a conflict.
TEST_F(LockOnMounts, TheNextProgramGetsIt) {
  must("for i in $(seq 60); do ( flock -n 9 || echo busy >&2 ) 9<>" + on_mount("f") + "; done");
}

TEST_F(LockOnMounts, DescriptionLocksEndWithTheirDescription) {
  const auto lock_description = [](int fd) {
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    return ::fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
  };
  UniqueFd first(::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC));
  const UniqueFd second(::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(lock_description(first.get()), 0);
  EXPECT_EQ(lock_description(second.get()), EAGAIN);
  ::close(::open(on_mount("f").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(try_there("f", Family::posix, F_RDLCK), EAGAIN);
  first.reset();
  EXPECT_TRUE(wait_until([&] { return lock_description(second.get()) == 0; }));
}

TEST_F(LockOnMounts, RangesAreApart) {
  const UniqueFd here(::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC));
  const UniqueFd there(::open(on_remote("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(set_lock(here.get(), Family::posix, F_WRLCK, false, 0, 100), 0);
  ASSERT_EQ(set_lock(here.get(), Family::posix, F_UNLCK, false, 40, 20), 0);
  struct flock wanted {};
  const auto in_the_way = [&](off_t start, off_t size) {
    wanted = {};  // l_pid has to be 0
    wanted.l_type = F_WRLCK;
    wanted.l_whence = SEEK_SET;
    wanted.l_start = start;
    wanted.l_len = size;
    EXPECT_EQ(::fcntl(there.get(), F_OFD_GETLK, &wanted), 0);
    return wanted.l_type != F_UNLCK;
  };
  EXPECT_FALSE(in_the_way(40, 20));
  EXPECT_TRUE(in_the_way(0, 0));
  EXPECT_EQ(wanted.l_start, 0);
  EXPECT_EQ(wanted.l_len, 40);
  EXPECT_TRUE(in_the_way(50, 0));
  EXPECT_EQ(wanted.l_start, 60);
  EXPECT_EQ(wanted.l_len, 40);
}

// F_GETLK names the process on the same mount, and only the lock of another one.
TEST_F(LockOnMounts, AskingNamesTheHolder) {
  Locker holder(on_mount("f"), {Family::posix});
  ASSERT_EQ(holder.result(), 0);
  for (const bool same : {true, false}) {
    const UniqueFd fd(::open((same ? on_mount("f") : on_second("f")).c_str(), O_RDWR | O_CLOEXEC));
    struct flock wanted {};
    wanted.l_type = F_RDLCK;
    wanted.l_whence = SEEK_SET;
    ASSERT_EQ(::fcntl(fd.get(), F_GETLK, &wanted), 0);
    EXPECT_EQ(wanted.l_type, F_WRLCK);
    EXPECT_EQ(wanted.l_len, 0);
    EXPECT_EQ(wanted.l_pid != 0, same);
  }
}

TEST_F(LockOnMounts, SignalsInterruptTheWait) {
  for (const Family family : kFamilies) {
    Locker holder(on_second("f"), {family});
    ASSERT_EQ(holder.result(), 0);
    Locker waiting(on_mount("f"), {family, F_WRLCK, true});
    Locker restarting(on_mount("f"), {family, F_WRLCK, true, O_RDWR, true});
    Locker killed(on_mount("f"), {family, F_WRLCK, true});
    EXPECT_TRUE(waiting.waits());
    EXPECT_TRUE(restarting.waits());
    EXPECT_TRUE(killed.waits());
    killed.end(SIGKILL);
    waiting.signal(SIGUSR1);
    EXPECT_EQ(waiting.result(), EINTR);
    restarting.signal(SIGUSR1);
    EXPECT_TRUE(restarting.waits());
    holder.unlock();
    EXPECT_EQ(restarting.result(), 0);
    restarting.unlock();
    EXPECT_EQ(try_there("f", family, F_WRLCK), 0);  // nothing is left of the two others
  }
}

TEST_F(LockOnMounts, TheDeathOfAMountLetsGo) {
  Locker holder(on_second("f"), {Family::posix});
  Locker other(on_second("f"), {Family::flock});
  ASSERT_EQ(holder.result(), 0);
  ASSERT_EQ(other.result(), 0);
  Locker posix(on_mount("f"), {Family::posix, F_WRLCK, true});
  Locker flock(on_mount("f"), {Family::flock, F_WRLCK, true});
  EXPECT_TRUE(posix.waits());
  EXPECT_TRUE(flock.waits());
  const pid_t pid = mount_pid(local("state2"), second_mountpoint());
  ASSERT_GT(pid, 0);
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_EQ(posix.result(), 0);
  EXPECT_EQ(flock.result(), 0);
  holder.end(SIGKILL);
  other.end(SIGKILL);
  must("umount -l " + second_mountpoint());
}

// What one has written under its lock the other reads under his, however short the time between.
TEST_F(LockOnMounts, LockedReadsAreNew) {
  write_remote("f", "0000");
  std::array<UniqueFd, 3> fds;
  fds[0].reset(::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC));
  fds[1].reset(::open(on_second("f").c_str(), O_RDWR | O_CLOEXEC));
  fds[2].reset(::open(on_remote("f").c_str(), O_RDWR | O_CLOEXEC));
  int value = 0;
  for (size_t i = 0; i < 50; ++i) {
    for (const UniqueFd& fd : fds) {
      ASSERT_EQ(set_lock(fd.get(), Family::posix, F_WRLCK, true), 0);
      std::array<char, 5> text{};
      ASSERT_EQ(::pread(fd.get(), text.data(), 4, 0), 4);
      ASSERT_EQ(std::atoi(text.data()), value) << i;
      if (&fd == &fds[i % fds.size()]) {
        const std::string next = std::to_string(10000 + ++value).substr(1);
        ASSERT_EQ(::pwrite(fd.get(), next.data(), 4, 0), 4);
      }
      ASSERT_EQ(set_lock(fd.get(), Family::posix, F_UNLCK, false), 0);
    }
  }
  EXPECT_EQ(read_file(on_remote("f")), "0050");
}

// A file that is truncated is a new one on the remote host, with its commit.
TEST_F(LockOnMounts, ATruncatedFileHasTheSameLocks) {
  write_remote("f", "content");
  const UniqueFd first = open_on_mount("f", O_RDWR);
  for (const Family family : {Family::flock, Family::posix}) {
    ASSERT_EQ(set_lock(first.get(), family, F_WRLCK, false), 0);
    Locker second(on_mount("f"), {.family = family, .flags = O_RDWR | O_TRUNC, .text = "new"});
    EXPECT_EQ(second.result(), EAGAIN);
    ASSERT_EQ(set_lock(first.get(), family, F_UNLCK, false), 0);
  }
  Locker third(on_mount("f"), {.flags = O_RDWR | O_TRUNC, .text = "newest"});
  EXPECT_EQ(third.result(), 0);
  EXPECT_EQ(read_file(on_remote("f")), "newest");
  EXPECT_EQ(set_lock(first.get(), Family::posix, F_WRLCK, false), EAGAIN);
}

// Whoever waits goes on waiting where the file is replaced, though another thread asks meanwhile.
TEST_F(LockOnMounts, AReplacedFileKeepsWhoWaits) {
  write_remote("f", "content");
  const UniqueFd holder = open_on_mount("f", O_RDWR);
  const UniqueFd waiter = open_on_mount("f", O_RDWR);
  struct flock all {};
  all.l_type = F_WRLCK;
  ASSERT_EQ(::fcntl(holder.get(), F_OFD_SETLK, &all), 0);
  std::atomic<pid_t> tid = 0;
  int result = -1;
  std::thread waits([&] {
    tid = ::gettid();
    struct flock wanted = all;
    result = ::fcntl(waiter.get(), F_OFD_SETLKW, &wanted) == 0 ? 0 : errno;
  });
  EXPECT_TRUE(wait_until([&] { return tid != 0; }));
  EXPECT_TRUE(wait_until_it_waits("self/task/" + std::to_string(tid)));
  must("echo new > " + local("new") + "; cp " + local("new") + " " + on_mount("f"));
  struct flock asked = all;
  EXPECT_EQ(::fcntl(waiter.get(), F_OFD_GETLK, &asked), 0);
  all.l_type = F_UNLCK;
  EXPECT_EQ(::fcntl(holder.get(), F_OFD_SETLK, &all), 0);
  waits.join();
  EXPECT_EQ(result, 0);
}

// Its process loses all locks that it has, but not what it waits for.
TEST_F(LockOnMounts, WhoWaitsGoesOnWhenAnotherDescriptorIsClosed) {
  const UniqueFd waiter = open_on_mount("f", O_RDWR | O_CREAT);
  UniqueFd other = open_on_mount("f", O_RDWR);
  Locker holder(on_mount("f"), {});
  ASSERT_EQ(holder.result(), 0);
  std::atomic<pid_t> tid = 0;
  int result = -1;
  std::thread waits([&] {
    tid = ::gettid();
    result = set_lock(waiter.get(), Family::posix, F_WRLCK, true);
  });
  EXPECT_TRUE(wait_until([&] { return tid != 0; }));
  EXPECT_TRUE(wait_until_it_waits("self/task/" + std::to_string(tid)));
  other.reset();
  holder.unlock();
  waits.join();
  EXPECT_EQ(result, 0);
}

// A copy has emptied it and was killed; the file itself is emptied when it is locked.
TEST_F(LockOnMounts, WhoWritesInPlaceGoesOnWhenAnEmptyFileIsLocked) {
  write_remote("f", "content");
  const UniqueFd writer = open_on_mount("f", O_RDWR);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_NAME, "cp");
    const int fd = ::open(on_mount("f").c_str(), O_WRONLY | O_TRUNC);
    ::raise(fd < 0 ? SIGTERM : SIGKILL);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  ASSERT_EQ(::ftruncate(writer.get(), 5), 0);
  const UniqueFd locked = open_on_mount("f", O_RDWR | O_TRUNC);
  EXPECT_EQ(::flock(locked.get(), LOCK_EX), 0) << ::strerror(errno);
  EXPECT_EQ(::pwrite(writer.get(), "a", 1, 0), 1);
  EXPECT_EQ(::pwrite(locked.get(), "b", 1, 1), 1);
  EXPECT_EQ(::fsync(writer.get()), 0);
  EXPECT_EQ(read_file(on_remote("f")), "ab");
}

// The usual lock file of a shell script: made or truncated by each that wants the lock.
TEST_F(LockOnMounts, LockFilesOfScriptsExclude) {
  const auto script = [this](const std::string& dir) {
    return "for i in $(seq 15); do ( flock 9; n=$(cat " + on_remote("count") + "); sleep 0.01; " +
           "echo $((n+1)) > " + on_remote("count") + " ) 9>" + dir + "/lock || exit 1; done";
  };
  write_file(on_remote("count"), "0\n");
  must("( " + script(mountpoint()) + " ) & ( " + script(mountpoint()) + " ) & ( " +
       script(second_mountpoint()) + " ) & ( " + script(second_mountpoint()) + " ) & wait");
  EXPECT_EQ(read_file(on_remote("count")), "60\n");
}

// While it is locked, others of the same mount go on opening and emptying it.
TEST_F(LockOnMounts, WhoOpensALockFileTakesItFromNobody) {
  for (int i = 0; i < 40; ++i) {
    const std::string name = "lock" + std::to_string(i);
    const UniqueFd fd = open_on_mount(name, O_RDWR | O_CREAT);
    std::atomic<bool> ended = false;
    std::thread opens([&] {
      while (!ended) {
        const UniqueFd other(::open(on_mount(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644));
      }
    });
    UniqueFd there;
    if (i % 2 == 0) {  // another host is faster
      write_remote(name, "");
      there.reset(::open(on_remote(name).c_str(), O_RDWR | O_CLOEXEC));
    }
    EXPECT_EQ(::flock(fd.get(), LOCK_EX), 0) << ::strerror(errno);
    const UniqueFd found(::open(on_remote(name).c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(::flock(found.get(), LOCK_EX | LOCK_NB), -1) << name;
    EXPECT_NE(::flock(there.get(), LOCK_EX | LOCK_NB), 0) << name;
    ended = true;
    opens.join();
  }
}

// Its file has gone since somebody here has opened it.
TEST_F(LockOnMounts, ARemovedLockFileIsMadeAgain) {
  write_remote("lock", "");
  must("cat " + on_mount("lock"));
  const UniqueFd fd = open_on_mount("lock", O_WRONLY | O_TRUNC);
  ASSERT_EQ(::unlink(on_remote("lock").c_str()), 0);
  EXPECT_EQ(::flock(fd.get(), LOCK_EX), 0) << ::strerror(errno);
  const UniqueFd there(::open(on_remote("lock").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(::flock(there.get(), LOCK_EX | LOCK_NB), -1);
}

TEST_F(LockOnMounts, NewFilesAreThereBeforeTheyAreLocked) {
  Locker holder(on_mount("new"), {Family::posix});
  ASSERT_EQ(holder.result(), 0);
  EXPECT_EQ(try_there("new", Family::posix, F_WRLCK), EAGAIN);
  EXPECT_EQ(Locker(on_second("new"), {Family::posix}).result(), EAGAIN);
  // What is written afterwards stays in the locked file.
  const UniqueFd fd(::open(on_mount("written").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_EQ(::write(fd.get(), "before", 6), 6);
  ASSERT_EQ(set_lock(fd.get(), Family::posix, F_WRLCK, false), 0);
  ASSERT_EQ(::write(fd.get(), " and after", 10), 10);
  EXPECT_EQ(try_there("written", Family::posix, F_WRLCK), EAGAIN);
  ASSERT_EQ(set_lock(fd.get(), Family::posix, F_UNLCK, false), 0);
  EXPECT_EQ(read_file(on_remote("written")), "before and after");
}

TEST_F(LockOnMounts, FilesWithoutANameAreLockedHere) {
  const UniqueFd first(::open(on_mount("tmp").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const UniqueFd second(::open(on_mount("tmp").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::unlink(on_mount("tmp").c_str()), 0);
  EXPECT_EQ(set_lock(first.get(), Family::flock, F_WRLCK, false), 0);
  EXPECT_EQ(set_lock(second.get(), Family::flock, F_RDLCK, false), EAGAIN);
  // Both descriptions are the child's, too; a signal ends its waiting.
  const pid_t child = ::fork();
  if (child == 0) {
    struct sigaction action {};
    action.sa_handler = ignore_signal;
    ::sigaction(SIGALRM, &action, nullptr);
    ::alarm(1);
    ::_exit(set_lock(second.get(), Family::flock, F_RDLCK, true));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), EINTR);
  EXPECT_EQ(set_lock(first.get(), Family::flock, F_UNLCK, false), 0);
  EXPECT_EQ(set_lock(second.get(), Family::flock, F_RDLCK, true), 0);
}

TEST_F(LockOnMounts, AreTakenAgainAfterALostConnection) {
  Locker posix(on_mount("f"), {Family::posix});
  Locker flock(on_mount("f"), {Family::flock});
  ASSERT_EQ(posix.result(), 0);
  ASSERT_EQ(flock.result(), 0);
  Locker waiting(on_second("f"), {Family::posix, F_WRLCK, true});
  EXPECT_TRUE(waiting.waits());
  waiting.end(SIGKILL);
  sshd().kill_sessions();
  must("stat " + on_mount("f") + " " + on_second("f") + " > /dev/null");
  EXPECT_TRUE(wait_until([this] { return try_there("f", Family::posix, F_RDLCK) == EAGAIN; }));
  EXPECT_TRUE(wait_until([this] { return try_there("f", Family::flock, F_RDLCK) == EAGAIN; }));
  posix.unlock();
  EXPECT_EQ(try_there("f", Family::posix, F_WRLCK), 0);
}

// A link that breaks without the remote host's noticing: the old agent still has the lock, and must
// not keep the mount's own next one out.
TEST_F(LockOnMounts, AnOldAgentLetsGo) {
  must(cpaway() + " umount " + second_mountpoint());
  unmount();
  mount("ssh_command=ssh");
  const UniqueFd here(::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(set_lock(here.get(), Family::posix, F_WRLCK, false), 0);
  ASSERT_EQ(sshd().agents().size(), 1U);
  const std::vector<pid_t> frozen = session_of(sshd().agents().front());
  ASSERT_FALSE(frozen.empty());
  for (const pid_t pid : frozen) {
    ::kill(pid, SIGSTOP);
  }
  for (const pid_t pid : descendants(mount_pid(local("state"), mountpoint()))) {
    ::kill(pid, process_name(pid) == "ssh" ? SIGKILL : 0);
  }
  EXPECT_TRUE(
      wait_until([this] { return log().find("connected again") != std::string::npos; }, 20'000));
  char byte = 0;
  EXPECT_EQ(::pread(here.get(), &byte, 1, 0), 1);
  EXPECT_EQ(try_there("f", Family::posix, F_RDLCK), EAGAIN);
  for (const pid_t pid : frozen) {
    ::kill(pid, SIGKILL);
  }
  EXPECT_TRUE(wait_until([this] { return sshd().agents().size() == 1; }));
  EXPECT_EQ(try_there("f", Family::posix, F_RDLCK), EAGAIN);
  EXPECT_EQ(log().find("is lost"), std::string::npos) << log();
}

TEST_F(LockOnMounts, ALockThatAnotherHasGotIsLost) {
  const UniqueFd here(::open(on_mount("f").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(set_lock(here.get(), Family::flock, F_WRLCK, false), 0);
  char byte = 0;
  ASSERT_EQ(::pread(here.get(), &byte, 1, 0), 1);  // the kernel has it now
  const UniqueFd there(::open(on_remote("f").c_str(), O_RDWR | O_CLOEXEC));
  sshd().stop();
  ASSERT_TRUE(
      wait_until([&] { return set_lock(there.get(), Family::flock, F_WRLCK, false) == 0; }));
  sshd().start();
  EXPECT_TRUE(wait_until([&] { return ::pread(here.get(), &byte, 1, 0) < 0 && errno == EIO; }));
  EXPECT_EQ(::pwrite(here.get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(set_lock(here.get(), Family::flock, F_WRLCK, false), EIO);
  EXPECT_NE(log().find("a lock on f is lost"), std::string::npos);
  EXPECT_EQ(set_lock(here.get(), Family::flock, F_UNLCK, false), 0);
  EXPECT_EQ(::pread(here.get(), &byte, 1, 0), 1);
  EXPECT_EQ(set_lock(here.get(), Family::flock, F_WRLCK, false), EAGAIN);
}

TEST_F(LockOnMounts, LocalLocksStayHere) {
  unmount();
  mount("locks=local");
  Locker holder(on_mount("f"), {Family::posix});
  ASSERT_EQ(holder.result(), 0);
  EXPECT_EQ(Locker(on_mount("f"), {Family::posix}).result(), EAGAIN);
  EXPECT_EQ(try_there("f", Family::posix, F_WRLCK), 0);
}

TEST_F(LockOnMounts, SqliteFromBothMounts) {
  if (shell("command -v sqlite3").exit_status != 0) {
    GTEST_SKIP() << "needs sqlite3";
  }
  const auto sql = [](const std::string& path, const std::string& text) {
    return "sqlite3 -cmd '.timeout 60000' " + path + " \"" + text + "\"";
  };
  must(sql(on_mount("db"), "create table t(who, n);"));
  const auto inserter = [&](const std::string& path, const std::string& who) {
    return "( for n in $(seq 15); do " + sql(path, "insert into t values('" + who + "', $n);") +
           " || exit 1; done ) & ";
  };
  must(inserter(on_mount("db"), "a") + inserter(on_mount("db"), "b") +
       inserter(on_second("db"), "c") + inserter(on_second("db"), "d") +
       inserter(on_remote("db"), "e") + "wait");
  for (const std::string& path : {on_mount("db"), on_second("db"), on_remote("db")}) {
    EXPECT_EQ(shell(sql(path, "pragma integrity_check; select count(*) from t;")).out, "ok\n75\n");
  }
}

// The writer dies in the middle of a transaction: the next one, on the other mount, rolls it back.
TEST_F(LockOnMounts, SqliteRollsBackWhatAKilledWriterLeft) {
  if (shell("command -v sqlite3").exit_status != 0) {
    GTEST_SKIP() << "needs sqlite3";
  }
  must("sqlite3 " + on_mount("db") +
       " 'create table t(n); with recursive c(n) as (select 1 union all select n+1 from c where "
       "n < 2000) insert into t select n from c;'");
  for (int i = 0; i < 3; ++i) {
    // A small cache makes it write into the database before it commits.
    must(
        "( echo 'pragma cache_size=5; begin; update t set n = n + 1000000;'; sleep 3 ) 2> "
        "/dev/null | sqlite3 " +
        on_mount("db") + " & pipe=$!; for i in $(seq 200); do test -s " + on_remote("db-journal") +
        " && break; sleep 0.05; done; kill -9 $pipe; wait $pipe 2> "
        "/dev/null; true");
    EXPECT_EQ(shell("sqlite3 -cmd '.timeout 20000' " + on_second("db") +
                    " 'pragma integrity_check; select count(*) from t where n <= 2000;'")
                  .out,
              "ok\n2000\n");
  }
}

}  // namespace
}  // namespace cpaway::testing
