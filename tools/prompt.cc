#include "tools/prompt.h"

#include <fcntl.h>
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

// While it lives, ending signals interrupt read() instead of ending the process; the one that came
// is raised again afterwards.
class HeldSignals {
 public:
  HeldSignals() {
    interrupted_by = 0;
    struct sigaction note = {};
    note.sa_handler = note_signal;
    for (size_t i = 0; i < kEndingSignals.size(); ++i) {
      sigaction(kEndingSignals[i], &note, &old_[i]);
    }
  }
  ~HeldSignals() {
    for (size_t i = 0; i < kEndingSignals.size(); ++i) {
      sigaction(kEndingSignals[i], &old_[i], nullptr);
    }
    if (interrupted_by != 0) {
      raise(interrupted_by);
    }
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  std::array<struct sigaction, kEndingSignals.size()> old_ = {};
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
  if (!write_full(terminal.get(), as_bytes(prompt))) {
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
