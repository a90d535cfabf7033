// The last step of commit and put_file: a staged file gets its attributes and its name.
#pragma once

#include "engine/agent/context.h"
#include "engine/wire/message.h"

namespace cpaway::agent {

// Order: the old version's owner and xattrs, the request's, mode, times, fsync where due, rename,
// directory fsync where due. An old regular file of that name hands down owner, mode, ACL and
// xattrs. On failure before the rename nothing but the staging file has changed; EISDIR where a
// directory has the name. With placement.join a file that has the name gets the content instead
// (join.h), and may have a part of it after a failure.
[[nodiscard]] Result<wire::CommitAnswer> place(Context& context, StagingFile& file,
                                               const wire::Placement& placement, bool durable,
                                               const hash::Sha256Value& sha256);

// True for a file that is as if it had been made now: ours, with one name, without xattrs.
[[nodiscard]] bool can_pass_for_new(int old);

// The same where the new version is byte for byte the old one, open as `old`: only its metadata
// changes. EBUSY where the name means another file by now. After a failure the old version's owner,
// mode and xattrs are as before.
[[nodiscard]] Result<wire::CommitAnswer> place_identical(Context& context, int old,
                                                         const wire::Placement& placement,
                                                         bool durable,
                                                         const hash::Sha256Value& sha256);

}  // namespace cpaway::agent
