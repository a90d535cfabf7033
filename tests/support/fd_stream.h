// A Stream over one socket, for tests that run the agent inside the test program.
#pragma once

#include "engine/base/fd.h"
#include "engine/base/stream.h"

namespace cpaway::testing {

class FdStream : public Stream {
 public:
  // Makes the socket non-blocking.
  explicit FdStream(UniqueFd socket);

  Status wait(bool want_write, int wake_fd, int timeout_ms) override;
  Result<size_t> read_some(std::span<uint8_t> into) override;
  Result<size_t> write_some(ByteSpan from) override;
  void close_write() override;
  std::string take_stderr() override { return {}; }
  std::optional<int> exit_status() override { return std::nullopt; }

 private:
  UniqueFd socket_;
};

}  // namespace cpaway::testing
