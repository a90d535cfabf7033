#include "tools/stale_uploads.h"

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "engine/base/log.h"

namespace cpaway::tools {
namespace {

// The rest is left to the next start.
constexpr size_t kMaxDirectories = 256;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

bool is_gone(const Error& error) {
  return error.code == Errc::os && (error.os_errno == ENOENT || error.os_errno == ENOTDIR);
}

}  // namespace

void collect_stale_uploads(client::Requester& agent, upload::Journal& journal, int64_t now_s) {
  std::map<std::string, std::vector<std::string>> targets;  // by directory
  for (const upload::Checkpoint& checkpoint : journal.checkpoints()) {
    if (checkpoint.changed_s <= now_s - kStaleAfterS) {
      targets[directory_of(checkpoint.path)].push_back(checkpoint.path);
    }
  }
  size_t asked = 0;
  for (const auto& [directory, paths] : targets) {
    if (++asked > kMaxDirectories) {
      return;
    }
    client::call(
        agent, wire::Collect{directory, static_cast<uint64_t>(kStaleAfterS), /*recursive=*/false},
        [&journal, directory = directory,
         paths = paths](const Result<wire::Collect::Answer>& answer) {
          if (!answer && !is_gone(answer.error())) {
            log::debug("staging files in ", directory, "/: ", answer.error().to_string());
            return;
          }
          if (answer && answer->removed > 0) {
            log::info("removed ", answer->removed, " old staging files in ", directory, "/");
          }
          for (const std::string& path : paths) {
            journal.drop_checkpoint(path);
          }
        });
  }
}

}  // namespace cpaway::tools
