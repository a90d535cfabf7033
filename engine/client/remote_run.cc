#include "engine/client/remote_run.h"

#include <algorithm>
#include <utility>

#include "engine/base/strings.h"
#include "engine/wire/message.h"

namespace cpaway::client {
namespace {

constexpr size_t kPiece = 64UL << 10U;

// Reads what a command prints, piece by piece.
class Reader {
 public:
  Reader(Stream& stream, size_t max_output, bool may_start)
      : stream_(stream), max_output_(max_output), may_start_(may_start) {}

  // Takes what is there. True where the transcript is complete.
  Result<bool> read_available() {
    for (;;) {
      const auto got = stream_.read_some(std::span(piece_).first(piece_size()));
      if (!got) {
        return at_end(got.error());
      }
      if (*got == 0) {
        return false;
      }
      if (transcript_.output.size() + *got > max_output_) {
        return fail(Errc::limit, concat("more than ", max_output_, " bytes"));
      }
      transcript_.output.append(as_text(ByteSpan(piece_).first(*got)));
      transcript_.started = may_start_ && transcript_.output.ends_with(wire::kStartMarker);
      if (transcript_.started) {
        return true;
      }
    }
  }

  Result<Transcript> read_to_end(const transport::Deadline& deadline) {
    for (;;) {
      CPAWAY_ASSIGN(const bool complete, read_available());
      if (complete) {
        return std::move(transcript_);
      }
      if (deadline.passed()) {
        return fail(Errc::timeout, "no answer in time");
      }
      CPAWAY_TRY(stream_.wait(false, -1, deadline.left_ms()));
    }
  }

  Transcript take() { return std::move(transcript_); }

 private:
  // Never past the start marker: the protocol follows it.
  [[nodiscard]] size_t piece_size() const {
    if (!may_start_) {
      return piece_.size();
    }
    constexpr std::string_view kMarker = wire::kStartMarker;
    size_t seen = std::min(transcript_.output.size(), kMarker.size() - 1);
    while (!transcript_.output.ends_with(kMarker.substr(0, seen))) {
      --seen;
    }
    return kMarker.size() - seen;
  }

  Result<bool> at_end(const Error& error) {
    const auto status = stream_.exit_status();
    if (error.code != Errc::connection_lost || !status) {
      return fail(error);
    }
    transcript_.exit_status = *status;
    transcript_.said = stream_.take_stderr();
    return true;
  }

  Stream& stream_;
  const size_t max_output_;
  const bool may_start_;
  Bytes piece_ = Bytes(kPiece);
  Transcript transcript_;
};

}  // namespace

std::string_view Transcript::after(std::string_view mark) const {
  const size_t at = output.rfind(mark);
  return at == std::string::npos ? std::string_view()
                                 : std::string_view(output).substr(at + mark.size());
}

Result<Transcript> run_until_agent(Stream& stream, size_t max_output,
                                   const transport::Deadline& deadline) {
  return Reader(stream, max_output, true).read_to_end(deadline);
}

Result<Transcript> run_to_end(Stream& stream, ByteSpan input, size_t max_output,
                              int64_t timeout_ms) {
  Reader reader(stream, max_output, false);
  transport::Deadline deadline(timeout_ms);
  while (!input.empty()) {
    CPAWAY_ASSIGN(const bool complete, reader.read_available());
    if (complete) {
      return reader.take();  // it did not want all of it
    }
    const auto taken = stream.write_some(input);
    if (!taken) {
      break;  // it does not read any more: what it printed says why
    }
    input = input.subspan(*taken);
    if (*taken > 0) {
      deadline = transport::Deadline(timeout_ms);
    } else if (deadline.passed()) {
      return fail(Errc::timeout, "no progress in time");
    } else {
      CPAWAY_TRY(stream.wait(true, -1, deadline.left_ms()));
    }
  }
  stream.close_write();
  return reader.read_to_end(deadline);
}

}  // namespace cpaway::client
