#include "tools/prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/fd.h"

namespace cpaway::tools {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr std::array kEndingSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

volatile sig_atomic_t interrupted_by = 0;

void note_signal(int number) {
  interrupted_by = number;
}

// While it lives, ending signals do not end the process: they are held back, but for wait(), and
// the one that came is raised again afterwards. Only blocking them until then lets none slip in
// between the prompt and the wait.
class HeldSignals {
 public:
  HeldSignals() {
    interrupted_by = 0;
    struct sigaction note = {};
    note.sa_handler = note_signal;
    sigset_t held;
    sigemptyset(&held);
    for (size_t i = 0; i < kEndingSignals.size(); ++i) {
      sigaddset(&held, kEndingSignals[i]);
      sigaction(kEndingSignals[i], &note, &old_[i]);
    }
    pthread_sigmask(SIG_BLOCK, &held, &old_mask_);
  }
  ~HeldSignals() {
    for (size_t i = 0; i < kEndingSignals.size(); ++i) {
      sigaction(kEndingSignals[i], &old_[i], nullptr);
    }
    pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
    if (interrupted_by != 0) {
      raise(interrupted_by);
    }
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  // Until `fd` can be read; false where a signal came first.
  [[nodiscard]] bool wait(int fd) const {
    pollfd readable = {fd, POLLIN, 0};
    while (interrupted_by == 0) {
      const int count = ppoll(&readable, 1, nullptr, &old_mask_);
      if (count > 0 || errno != EINTR) {
        return count > 0;
      }
    }
    return false;
  }

 private:
  std::array<struct sigaction, kEndingSignals.size()> old_ = {};
  sigset_t old_mask_ = {};
};

class HiddenInput {
 public:
  HiddenInput(int terminal, bool hide) : terminal_(terminal) {
    hidden_ = hide && tcgetattr(terminal, &old_) == 0;
    if (hidden_) {
      termios quiet = old_;
      quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
      quiet.c_lflag |= ECHONL;
      tcsetattr(terminal, TCSAFLUSH, &quiet);
    }
  }
  ~HiddenInput() {
    if (hidden_) {
      tcsetattr(terminal_, TCSAFLUSH, &old_);
    }
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  int terminal_;
  bool hidden_ = false;
  termios old_ = {};
};

std::optional<std::string> ask(const std::string& prompt, bool echo) {
  const UniqueFd terminal(open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) {
    return std::nullopt;
  }
  const HeldSignals held;
  const HiddenInput hidden(terminal.get(), !echo);
  if (!write_full(terminal.get(), as_bytes(prompt)) || !held.wait(terminal.get())) {
    return std::nullopt;
  }
  auto line = read_secret_line(terminal.get());
  return line ? std::optional(std::move(*line)) : std::nullopt;
}

}  // namespace

transport::Prompter terminal_prompter() {
  return ask;
}

Result<std::string> read_secret_line(int fd) {
  std::string line;
  while (line.size() <= kMaxLine) {
    char c = 0;
    const ssize_t count = read(fd, &c, 1);
    if (count < 0) {
      return fail_os(errno, "reading the password");
    }
    if (count == 0 && line.empty()) {
      return fail(Errc::invalid, "no password on standard input");
    }
    if (count == 0 || c == '\n') {
      return line;
    }
    line.push_back(c);
  }
  return fail(Errc::invalid, "the password is too long");
}

}  // namespace cpaway::tools
