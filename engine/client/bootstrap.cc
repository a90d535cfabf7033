#include "engine/client/bootstrap.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/client/agent_binary.h"
#include "engine/client/bootstrap_script.h"
#include "engine/client/remote_run.h"
#include "engine/hash/digest.h"
#include "engine/transport/deadline.h"
#include "engine/transport/terminal_text.h"
#include "engine/wire/message.h"

namespace cpaway::client {
namespace {

using transport::Deadline;
using transport::terminal_text;

constexpr size_t kMaxDirectories = 8;
constexpr int kSftpAnswerMs = 500;

// What the find script tells where there is no agent.
struct Probe {
  std::string system;   // Linux
  std::string machine;  // x86_64
  bool has_sha256 = false;
  std::vector<std::string> directories;  // fit for a terminal
};

struct Outcome {
  std::string word;
  std::string text;
};

std::string_view next_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// Cuts at the first blank.
Outcome split(std::string_view line) {
  const size_t end = std::min(line.find(' '), line.size());
  return {terminal_text(line.substr(0, end)),
          terminal_text(line.substr(std::min(end + 1, line.size())))};
}

Probe parse_probe(std::string_view text) {
  Probe probe;
  const Outcome system = split(next_line(text));
  probe.system = system.word;
  probe.machine = system.text;
  const std::string_view sum = next_line(text);
  probe.has_sha256 = sum != "none" && !sum.empty();
  while (!text.empty() && probe.directories.size() < kMaxDirectories) {
    probe.directories.push_back(terminal_text(next_line(text)));
  }
  return probe;
}

// What a server that only does sftp says to its greeting.
bool answers_sftp(Stream& stream) {
  constexpr std::array<uint8_t, 9> kInit{0, 0, 0, 5, 1, 0, 0, 0, 3};
  constexpr uint8_t kVersionPacket = 2;
  std::array<uint8_t, 5> answer{};
  const auto sent = stream.write_some(kInit);
  const Deadline deadline(kSftpAnswerMs);
  for (size_t got = 0; sent && *sent == kInit.size() && !deadline.passed();) {
    const auto piece = stream.read_some(std::span(answer).subspan(got));
    if (!piece) {
      return false;
    }
    got += *piece;
    if (got == answer.size()) {
      return answer[4] == kVersionPacket;
    }
    if (!stream.wait(false, -1, deadline.left_ms())) {
      return false;
    }
  }
  return false;
}

class Bootstrap {
 public:
  Bootstrap(transport::Transport& transport, int64_t timeout_ms)
      : transport_(transport), timeout_ms_(timeout_ms), deadline_(timeout_ms) {}

  Result<std::unique_ptr<Stream>> run_given(const std::string& command);
  Result<std::unique_ptr<Stream>> find_or_push(const AgentBinary& agent);

 private:
  // Runs a command that may become the agent; then `agent` is its stream.
  Result<Transcript> try_start(const std::string& command, std::unique_ptr<Stream>& agent);
  Result<std::unique_ptr<Stream>> push(const AgentBinary& agent, const Probe& probe);
  Result<Outcome> push_into(const AgentBinary& agent, size_t index);
  Result<bool> same_there(const AgentBinary& agent, size_t index);
  Result<std::unique_ptr<Stream>> start_pushed(const AgentBinary& agent,
                                               const std::string& command);
  Error not_ours(const Transcript& transcript) const;
  Error silent(Stream& stream) const;

  transport::Transport& transport_;
  const int64_t timeout_ms_;
  Deadline deadline_;
};

Error Bootstrap::not_ours(const Transcript& transcript) const {
  std::string said = transport::first_line(transcript.output);
  if (said.empty()) {
    said = transport::first_line(transcript.said);
  }
  return make_error(Errc::exec,
                    concat("the remote host does not run commands: instead of the agent, something "
                           "ended with exit status ",
                           transcript.exit_status, said.empty() ? "" : ": ", said));
}

Error Bootstrap::silent(Stream& stream) const {
  if (answers_sftp(stream)) {
    return make_error(Errc::exec, "the remote host does not run commands: it allows sftp only");
  }
  return make_error(Errc::timeout, concat("no answer to the command that starts the agent within ",
                                          timeout_ms_ / 1000, " s"));
}

Result<Transcript> Bootstrap::try_start(const std::string& command,
                                        std::unique_ptr<Stream>& agent) {
  CPAWAY_ASSIGN(auto stream, transport_.exec(command));
  auto transcript = run_until_agent(*stream, wire::kMaxNoise, deadline_);
  if (!transcript && transcript.error().code == Errc::timeout) {
    return fail(silent(*stream));
  }
  if (!transcript && transcript.error().code == Errc::limit) {
    return fail(Errc::exec, concat("the remote host does not start the agent: it printed ",
                                   transcript.error().context));
  }
  if (transcript && transcript->started) {
    agent = std::move(stream);
  }
  return transcript;
}

Result<std::unique_ptr<Stream>> Bootstrap::run_given(const std::string& command) {
  std::unique_ptr<Stream> agent;
  CPAWAY_ASSIGN(const Transcript transcript, try_start(command, agent));
  if (!agent) {
    return fail(with_context(not_ours(transcript), command));
  }
  return agent;
}

Result<std::unique_ptr<Stream>> Bootstrap::find_or_push(const AgentBinary& agent) {
  std::unique_ptr<Stream> stream;
  CPAWAY_ASSIGN(const Transcript transcript, try_start(find_command(agent), stream));
  if (stream) {
    return stream;
  }
  const std::string_view answer = transcript.after(kProbeMark);
  if (answer.empty()) {
    return fail(not_ours(transcript));
  }
  const Probe probe = parse_probe(answer);
  if (probe.system != "Linux") {
    return fail(Errc::exec, concat("the remote host is ", probe.system, " ", probe.machine,
                                   "; the agent runs on Linux only"));
  }
  if (!runs_on(agent, probe.machine)) {
    return fail(Errc::exec, concat("the remote host is Linux ", probe.machine,
                                   "; no agent for it at ", agent.path));
  }
  return push(agent, probe);
}

std::string reason_of(const Outcome& outcome) {
  const auto says = [&outcome](std::string_view text) {
    return outcome.text.find(text) != std::string::npos;
  };
  if (says("No space left") || says("quota")) {
    return "no space left";
  }
  if (outcome.word == "noexec") {
    return says("Permission denied") ? "mounted noexec" : concat("does not run: ", outcome.text);
  }
  if (outcome.word == "unsafe") {
    return "not a directory of the user's own with mode 0700";
  }
  if (outcome.word == "damaged") {
    return "what arrived is not what was sent";
  }
  if (says("Read-only")) {
    return "read-only";
  }
  if (says("Permission denied")) {
    return "not writable";
  }
  return outcome.text.empty() ? outcome.word : outcome.text;
}

Result<std::unique_ptr<Stream>> Bootstrap::push(const AgentBinary& agent, const Probe& probe) {
  std::string reasons;
  for (size_t i = 0; i < probe.directories.size(); ++i) {
    if (!probe.has_sha256) {
      CPAWAY_ASSIGN(const bool there, same_there(agent, i));
      if (there) {
        return start_pushed(agent, start_command(agent, i));
      }
    }
    CPAWAY_ASSIGN(Outcome outcome, push_into(agent, i));
    if (outcome.word == "ok") {
      log::info("pushed the agent to ", probe.directories[i], " on the remote host");
      return start_pushed(agent, find_command(agent));
    }
    if (outcome.word == "unverified") {
      CPAWAY_ASSIGN(const bool whole, same_there(agent, i));
      if (whole) {
        return start_pushed(agent, start_command(agent, i));
      }
      outcome.word = "damaged";
    }
    reasons.append(reasons.empty() ? "" : "; ");
    reasons.append(concat(probe.directories[i], ": ", reason_of(outcome)));
  }
  return fail(Errc::exec, concat("no directory of the remote host can hold the agent: ", reasons));
}

Result<Outcome> Bootstrap::push_into(const AgentBinary& agent, size_t index) {
  CPAWAY_ASSIGN(auto stream, transport_.exec(push_command(agent, index)));
  auto transcript = run_to_end(*stream, agent.content, wire::kMaxNoise, timeout_ms_);
  deadline_ = Deadline(timeout_ms_);  // a slow link has shown that it works
  if (!transcript) {
    return fail(with_context(std::move(transcript).error(), "pushing the agent"));
  }
  std::string_view answer = transcript->after(kPushMark);
  if (answer.empty()) {
    return fail(not_ours(*transcript));
  }
  return split(next_line(answer));
}

// For hosts that do not compute SHA-256: reads the file back.
Result<bool> Bootstrap::same_there(const AgentBinary& agent, size_t index) {
  CPAWAY_ASSIGN(auto stream, transport_.exec(fetch_command(agent, index)));
  const size_t max_output = wire::kMaxNoise + agent.content.size();
  CPAWAY_ASSIGN(const Transcript transcript, run_to_end(*stream, {}, max_output, timeout_ms_));
  deadline_ = Deadline(timeout_ms_);
  const size_t mark = transcript.output.find(kFetchMark);
  if (mark == std::string::npos) {
    return fail(not_ours(transcript));
  }
  const std::string_view content =
      std::string_view(transcript.output).substr(mark + kFetchMark.size());
  return hash::to_hex(hash::sha256(as_bytes(content))) == agent.digest;
}

Result<std::unique_ptr<Stream>> Bootstrap::start_pushed(const AgentBinary& agent,
                                                        const std::string& command) {
  std::unique_ptr<Stream> stream;
  CPAWAY_ASSIGN(const Transcript transcript, try_start(command, stream));
  if (!stream) {
    return fail(with_context(not_ours(transcript), concat("starting ", agent.name)));
  }
  return stream;
}

}  // namespace

Result<std::unique_ptr<Stream>> start_agent(transport::Transport& transport,
                                            const AgentOptions& options, int64_t timeout_ms) {
  Bootstrap bootstrap(transport, timeout_ms);
  if (!options.remote_command.empty()) {
    return bootstrap.run_given(options.remote_command);
  }
  CPAWAY_ASSIGN(const AgentBinary agent, load_agent(options.local_path));
  return bootstrap.find_or_push(agent);
}

}  // namespace cpaway::client
