// At the start of a mount: uploads that were interrupted long ago are forgotten, and what they left
// on the remote host is removed, in the directories of their targets only. `cpaway gc` looks
// everywhere.
#pragma once

#include <cstdint>

#include "engine/client/requester.h"
#include "engine/upload/journal.h"

namespace cpaway::tools {

inline constexpr int64_t kStaleAfterS = 7 * 86'400L;

// Asks, and returns; `journal` outlives the answers. A checkpoint is dropped once its directory was
// looked through or is gone. `now_s` is since the epoch.
void collect_stale_uploads(client::Requester& agent, upload::Journal& journal, int64_t now_s);

}  // namespace cpaway::tools
