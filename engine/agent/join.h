// The end of an upload that found its name taken: its content goes into the file that is there.
#pragma once

#include "engine/agent/file_access.h"
#include "engine/base/fd.h"
#include "engine/base/result.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// Opens the file that has the name, and puts into it what is in `staged`, as placement.join says.
// EISDIR for a directory, EEXIST for what is no regular file, ENOENT where the name is free again,
// EACCES where the placement has an owner who may not write it.
// When it fails within the content, as on a full disk, a part of that may be there.
[[nodiscard]] Result<UniqueFd> join(const Location& target, int staged,
                                    const wire::Placement& placement);

}  // namespace cpaway::agent
