// What the handlers of one connection share. Made when hello was accepted.
#pragma once

#include <string>

#include "engine/agent/background_sync.h"
#include "engine/agent/file_access.h"
#include "engine/agent/handle.h"
#include "engine/agent/id_table.h"
#include "engine/agent/lock_queue.h"
#include "engine/agent/mode.h"
#include "engine/agent/transfer.h"

namespace cpaway::agent {

struct Context {
  Context(Root mounted, Mode allowed, bool sync, Executor& executor)
      : root(std::move(mounted)),
        mode(allowed),
        sync_commit(sync),
        handles("handle", executor),
        transfers("transfer", executor) {}

  const Root root;
  const Mode mode;
  const bool sync_commit;  // every commit reaches the disk before it is answered
  BackgroundSync background_sync;
  LockQueue locks;
  IdTable<Handle> handles;
  IdTable<Transfer> transfers;
};

}  // namespace cpaway::agent
