#include "fs/vfs.h"

#include <unistd.h>

namespace cpaway::fs {
namespace {
// Hashing at 1.5 GB/s a core is ahead of any link; two keep uploads from waiting for each other.
constexpr size_t kWorkers = 2;
// Buffers are larger than what they hold, by about a sixth; the option means memory.
constexpr uint64_t kBufferOverhead = 6;
}  // namespace

Vfs::Vfs(const Options& options, client::Requester& agent, upload::Journal& journal,
         const wire::Hello::Answer& hello, Notifier& notifier)
    : options_(options),
      agent_(agent),
      journal_(journal),
      notifier_(notifier),
      map_(options, hello.uid, hello.gid, getuid(), getgid()),
      inodes_(hello.root, journal),
      transfers_(journal),
      window_(options.window_size / kBufferOverhead * (kBufferOverhead - 1)),
      pending_unlinks_([this](const PendingUnlink& pending) { carry_out(pending); },
                       [this](const PendingUnlink& pending) { give_back(pending); }),
      workers_("cpaway-work", kWorkers) {
  remote_clock_.observe(hello.now);
}

Vfs::~Vfs() = default;

// The answer to hello is some time ago already, and each connection may begin after a long sleep.
void Vfs::look_at_remote_clock(client::Requester& agent) {
  client::call(agent, wire::Ping{}, [this](const Result<wire::Ping::Answer>& answer) {
    if (answer) {
      remote_clock_.observe(answer->now);
    }
  });
}

}  // namespace cpaway::fs
