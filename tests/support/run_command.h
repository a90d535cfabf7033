// Runs a program to its end and keeps what it printed.
#pragma once

#include <string>
#include <vector>

namespace cpaway::testing {

struct Finished {
  int exit_status = -1;  // 128 + n for signal n; 127 where there is no such program
  std::string out;
  std::string err;
};

// argv[0] is looked for in PATH. Standard input is empty.
[[nodiscard]] Finished run_command(const std::vector<std::string>& argv);
// The same, for steps of a test's preparation: aborts, with its output, unless it ends with 0.
void must_run(const std::vector<std::string>& argv);

}  // namespace cpaway::testing
