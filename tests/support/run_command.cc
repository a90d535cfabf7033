#include "tests/support/run_command.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include "engine/transport/child_stream.h"

namespace cpaway::testing {

Finished run_command(const std::vector<std::string>& argv) {
  Finished finished;
  auto child = transport::ChildStream::spawn(argv, [&finished](const auto& end) {
    finished.exit_status = end.exit_status;
    finished.err = end.said;
    return make_error(Errc::connection_lost, "ended");
  });
  if (!child) {
    finished.exit_status = 127;
    finished.err = child.error().context;
    return finished;
  }
  (*child)->close_write();
  std::array<uint8_t, 65536> buffer;
  for (;;) {
    const auto got = (*child)->read_some(buffer);
    if (!got) {
      return finished;
    }
    finished.out.append(as_text(ByteSpan(buffer).first(*got)));
    if (*got == 0) {
      ignore((*child)->wait(false, -1, -1), "the next read tells");
    }
  }
}

void must_run(const std::vector<std::string>& argv) {
  const Finished finished = run_command(argv);
  if (finished.exit_status != 0) {
    std::fprintf(stderr, "%s: exit status %d\n%s%s\n", argv[0].c_str(), finished.exit_status,
                 finished.out.c_str(), finished.err.c_str());
    std::abort();
  }
}

}  // namespace cpaway::testing
