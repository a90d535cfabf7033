// A file's attributes as the protocol carries them.
#pragma once

#include "engine/agent/file_access.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// Of the file itself, never of what a symbolic link points to; with the access of the agent's user.
[[nodiscard]] Result<wire::Attr> read_attr(const Location& at);
[[nodiscard]] Result<wire::Attr> read_attr(int fd);

// The clock that this host's files are stamped by, and finer than most of them.
[[nodiscard]] wire::Time time_now();

// Changes in this order: size, owner, mode, times, so that none prevents the next. EINVAL for
// mode bits, times or sizes that no file can have.
[[nodiscard]] Status change_attr(const Location& at, const wire::SetAttr& attr);
// The parts of the same, for files that are open.
[[nodiscard]] Status change_owner(const Location& at, const wire::SetAttr& attr);
[[nodiscard]] Status change_mode(const Location& at, uint32_t mode);
[[nodiscard]] Status change_times(const Location& at, const wire::SetAttr& attr);

}  // namespace cpaway::agent
