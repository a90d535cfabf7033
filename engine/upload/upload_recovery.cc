// After a lost connection: the transfer is opened again, and what was not acknowledged sent again.
//
// The agent that knew the transfer has gone, or will, and has left the staging file. What it had
// only noted (PROTOCOL.md, delta_block) is noted again, from the hashes; all else that it
// acknowledged is in the staging file, and the SHA-256 at commit says whether it still is.
#include "engine/base/log.h"
#include "engine/upload/upload.h"

namespace cpaway::upload {

void Upload::recover() {
  if (recovering_ || spent_ || sender_.error()) {
    return;
  }
  if (on_hold_) {
    recovery_waits_ = true;
    sender_.hold();
    return;
  }
  if (++recoveries_ > kMaxRecoveries) {
    fail_with(make_error(Errc::connection_lost,
                         concat(path_, ": the connection breaks again and again")));
    run_blocked();
    return;
  }
  recovering_ = true;
  init_path_ = path_;
  sender_.hold();
  const auto self = shared_from_this();
  // If it is still the same agent after all. That takes a moment, so the transfer gets a new id.
  const uint32_t old = std::exchange(transfer_, next_transfer_id());
  client::call(
      context_.agent, wire::Cancel{old, true}, [self](const Result<wire::Empty>&) {}, nullptr,
      client::Priority::bulk);
  client::call(
      context_.agent, wire::Init{transfer_, path_, all_noted_ ? std::string() : staging_name_},
      [self](Result<wire::Init::Answer> answer) {
        self->strand_.post([self, answer = std::move(answer)] { self->on_reopened(answer); });
      },
      nullptr, client::Priority::bulk);
}

void Upload::on_reopened(const Result<wire::Init::Answer>& answer) {
  recovering_ = false;
  if (!answer && (is_lost(answer.error()) || init_path_ != path_)) {
    recover();  // lost again, or a directory above it was renamed meanwhile
    return;
  }
  if (!answer) {
    if (answer.error().os_errno == ENOENT && gone_) {
      blocked_.clear();
      gone_();
      return;
    }
    fail_with(answer.error());
    run_blocked();
    return;
  }
  log::debug(path_, ": goes on after a lost connection");
  bases_.move_to(shared_from_this(), transfer_);
  if (!initialised_) {
    initialise(*answer);
  } else if (!staging_name_.empty() && all_noted_) {
    staging_name_ = answer->staging_name;
  }
  note_again();
  sender_.resume(shared_from_this());
  run_blocked();
  go_on();
}

void Upload::note_again() {
  for (const Noted& noted : noted_) {
    wire::DeltaBlock request;
    request.transfer = transfer_;
    request.offset = noted.offset;
    request.size = noted.size;
    request.hash = noted.hash;
    request.segments = {{noted.basis, noted.size, noted.offset}};
    client::call(
        context_.agent, request,
        [self = shared_from_this(), hash = noted.hash](Result<wire::Block::Answer> answer) {
          if (answer && answer->hash != hash) {
            self->strand_.post([self] {
              self->fail_with(
                  make_error(Errc::conflict, concat(self->path_, " was changed by someone else")));
            });
          }
        },
        nullptr, client::Priority::bulk);
  }
}

void Upload::run_blocked() {
  std::vector<Job> jobs;
  jobs.swap(blocked_);
  for (const Job& job : jobs) {
    job(*this);
  }
}

void Upload::read_transfer(uint64_t offset, uint32_t size, const ReadDone& done) {
  client::call_bulk(
      context_.agent, wire::ReadTransfer{transfer_, offset, size},
      [self = shared_from_this(), offset, size,
       done](const Result<client::WithBulk<wire::Empty>>& answer) {
        if (answer) {
          self->strand_.post([self] { self->nothing_is_noted(); });
          Bytes out(answer->bulk.begin(), answer->bulk.end());
          out.resize(size, 0);  // beyond the staging file's end: a truncation upwards
          done(std::move(out));
          return;
        }
        self->strand_.post([self, offset, size, done, error = answer.error()] {
          if (!self->wait_for_recovery(error, [offset, size, done](Upload& upload) {
                upload.read_transfer(offset, size, done);
              })) {
            done(fail(error));
          }
        });
      },
      client::Priority::bulk);
}

// True where `job` will run once the transfer is open again, or has failed for good.
bool Upload::wait_for_recovery(const Error& error, Job job) {
  if (!is_lost(error) || spent_ || sender_.error()) {
    return false;
  }
  blocked_.push_back(std::move(job));
  recover();
  return true;
}

void Upload::look_for_commit(const std::string& path, const hash::Sha256Value& sha256,
                             const CommitDone& done) {
  find_committed(path, sha256, {}, done, [this, self = shared_from_this(), path, done] {
    end_commit(fail(Errc::connection_lost, concat(path, ": lost before its commit")), path, done);
  });
}

void Upload::look_for_put(wire::Placement placement, bool durable, int tries,
                          const hash::Sha256Value& sha256, const CommitDone& done) {
  if (placement.join == wire::kJoinNot) {
    look_for_commit(placement.path, sha256, done);
    return;
  }
  const std::string path = placement.path;
  const auto mtime = placement.attr.mtime;  // another host may have made one with this content
  find_committed(path, sha256, mtime, done,
                 [this, self = shared_from_this(), placement = std::move(placement), durable, tries,
                  done] { put_file(placement, durable, tries, false, done); });
}

// Either way on the strand.
void Upload::find_committed(const std::string& path, const hash::Sha256Value& sha256,
                            std::optional<wire::Time> mtime, const CommitDone& done,
                            std::function<void()> otherwise) {
  const auto self = shared_from_this();
  const wire::Target target{0, path};
  const auto look = [self, path, sha256, mtime, done, otherwise](const Result<wire::Attr>& attr) {
    if (attr && mtime && attr->mtime != *mtime) {
      otherwise();
    } else if (attr) {
      self->end_commit(wire::CommitAnswer{*attr, sha256, {}, false}, path, done);
    } else {
      self->end_commit(fail(attr.error()), path, done);
    }
  };
  client::call(context_.agent, wire::Digest{target},
               [self, target, sha256, look,
                otherwise = std::move(otherwise)](const Result<wire::Digest::Answer>& digest) {
                 if (!digest || digest->sha256 != sha256) {
                   self->strand_.post(otherwise);
                   return;
                 }
                 client::call(self->context_.agent, wire::GetAttr{target},
                              [self, look](Result<wire::Attr> attr) {
                                self->strand_.post([look, attr = std::move(attr)] { look(attr); });
                              });
               });
}

}  // namespace cpaway::upload
