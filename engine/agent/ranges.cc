#include "engine/agent/ranges.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "engine/agent/verified_io.h"
#include "engine/base/fault.h"
#include "engine/base/fd.h"
#include "engine/wire/frame.h"
#include "engine/wire/message.h"

namespace cpaway::agent {
namespace {

constexpr int kTries = 3;  // a block that the client sends would be sent again

static_assert(wire::kKeepSize == FALLOC_FL_KEEP_SIZE && wire::kPunchHole == FALLOC_FL_PUNCH_HOLE &&
              wire::kZeroRange == FALLOC_FL_ZERO_RANGE);

Result<struct stat> stat_of(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) {
    return fail_os(errno, "stat");
  }
  return st;
}

// True where the filesystem, or the pair of them, cannot copy by itself.
bool cannot_copy(int error) {
  return error == EXDEV || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
}

// False where even all that is free, with what the file has already, is less. A filesystem that
// finds this out by trying takes the last block from everybody else meanwhile, for as long as the
// file stays.
Result<bool> may_have_room(int fd, uint64_t size) {
  struct statvfs space {};
  if (::fstatvfs(fd, &space) != 0) {
    return fail_os(errno, "statvfs");
  }
  CPAWAY_ASSIGN(const struct stat st, stat_of(fd));
  const auto held = static_cast<uint64_t>(st.st_blocks) * 512;  // stat's unit
  return space.f_blocks == 0 || space.f_frsize == 0 || size <= held ||
         (size - held) / space.f_frsize <= space.f_bfree;
}

Status copy_by_hand(const CopyJob& job) {
  uint64_t done = 0;
  while (done < job.size) {
    const size_t wanted = std::min<uint64_t>(job.size - done, wire::kBlockSize);
    const std::span<uint8_t> buffer = assembly_buffer().first(wanted);
    CPAWAY_ASSIGN(const size_t got, read_range(job.source, buffer, job.source_offset + done));
    CPAWAY_TRY(write_at(job.target, buffer.first(got), job.offset + done));
    if (got < wanted) {
      break;
    }
    done += got;
  }
  return {};
}

Status copy_data(const CopyJob& job) {
  auto from = static_cast<off64_t>(job.source_offset);
  auto to = static_cast<off64_t>(job.offset);
  for (uint64_t left = job.size; left > 0;) {
    const ssize_t n = ::copy_file_range(job.source, &from, job.target, &to, left, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && cannot_copy(errno)) {
      CopyJob rest = job;
      rest.source_offset = static_cast<uint64_t>(from);
      rest.offset = static_cast<uint64_t>(to);
      rest.size = left;
      return copy_by_hand(rest);
    }
    if (n < 0) {
      return fail_os(errno, "copy");
    }
    if (n == 0) {
      break;  // the source was cut meanwhile
    }
    left -= static_cast<uint64_t>(n);
  }
  if (fault::take(fault::points().damage_block)) {
    return pwrite_full(job.target, as_bytes("damaged"), job.offset);
  }
  return {};
}

// What was read back from the target, in the thread's buffer; shorter where the source ends.
Result<ByteSpan> check_piece(const CopyJob& job, uint64_t done, size_t size) {
  const std::span<uint8_t> buffer = assembly_buffer().first(size);
  CPAWAY_ASSIGN(const size_t got, read_range(job.source, buffer, job.source_offset + done));
  const ByteSpan source = buffer.first(got);
  const std::span<uint8_t> there = thread_buffer().first(got);
  CPAWAY_ASSIGN(const size_t read, read_range(job.target, there, job.offset + done));
  ByteSpan target = there.first(read);
  for (int i = 0; !std::equal(source.begin(), source.end(), target.begin(), target.end()); ++i) {
    if (i == kTries) {
      return fail(Errc::verify, "copy");
    }
    CPAWAY_ASSIGN(target, write_and_read_back(job.target, source, job.offset + done));
  }
  return target;
}

// How much of the data there was.
Result<uint64_t> copy_and_check(const CopyJob& job, const Copied& copied) {
  CPAWAY_TRY(copy_data(job));
  if (!job.reads_back) {
    return job.size;
  }
  for (uint64_t done = 0; done < job.size;) {
    const size_t size = std::min<uint64_t>(job.size - done, wire::kBlockSize);
    CPAWAY_ASSIGN(const ByteSpan piece, check_piece(job, done, size));
    copied(job.offset + done, piece);
    done += piece.size();
    if (piece.size() < size) {
      return done;
    }
  }
  return job.size;
}

Status write_zeros(int fd, uint64_t offset, uint64_t size) {
  const std::span<uint8_t> zeros = assembly_buffer();
  std::fill(zeros.begin(), zeros.end(), uint8_t{0});
  for (uint64_t done = 0; done < size;) {
    const size_t step = std::min<uint64_t>(zeros.size(), size - done);
    CPAWAY_TRY(write_at(fd, zeros.first(step), offset + done));
    done += step;
  }
  return {};
}

Status make_hole(const CopyJob& job) {
  CPAWAY_ASSIGN(const struct stat st, stat_of(job.target));
  const auto end = static_cast<uint64_t>(st.st_size);
  if (job.offset < end) {
    const uint64_t inside = std::min(job.size, end - job.offset);
    auto punched = allocate_in(job.target, wire::kPunchHole | wire::kKeepSize, job.offset, inside);
    if (!punched && punched.error().os_errno != EOPNOTSUPP) {
      return punched;
    }
    if (!punched) {
      CPAWAY_TRY(write_zeros(job.target, job.offset, inside));
    }
  }
  if (job.offset + job.size > end &&
      ::ftruncate(job.target, static_cast<off_t>(job.offset + job.size)) != 0) {
    return fail_os(errno, "truncate");
  }
  return {};
}

// The next data or hole of the source from `job` on, as long as it is one of them.
struct Part {
  CopyJob job;
  bool is_hole = false;
};

Part next_part(const CopyJob& rest) {
  Part part{rest};
  const uint64_t from = rest.source_offset;
  const auto data = seek_in(rest.source, from, false);
  if (!data && data.error().os_errno != ENXIO) {
    return part;  // no filesystem that knows holes
  }
  part.is_hole = !data || *data > from;
  if (!data) {
    return part;
  }
  const auto end = part.is_hole ? data : seek_in(rest.source, from, true);
  if (end && *end > from) {
    part.job.size = std::min(rest.size, *end - from);
  }
  return part;
}

// What there is to be copied: less at the source's end.
Result<CopyJob> judge_copy(CopyJob job) {
  constexpr uint64_t kEnd = INT64_MAX;
  job.size = std::min(job.size, wire::kMaxCopySize);
  if (job.source_offset > kEnd - job.size) {
    return fail_os(EINVAL, "copy");
  }
  if (job.offset > kEnd - job.size) {
    return fail_os(EFBIG, "copy");
  }
  CPAWAY_ASSIGN(const struct stat source, stat_of(job.source));
  CPAWAY_ASSIGN(const struct stat target, stat_of(job.target));
  if (!S_ISREG(source.st_mode) || !S_ISREG(target.st_mode)) {
    return fail_os(EINVAL, "not a regular file");
  }
  const auto end = static_cast<uint64_t>(source.st_size);
  job.size = job.source_offset >= end ? 0 : std::min(job.size, end - job.source_offset);
  if (source.st_dev == target.st_dev && source.st_ino == target.st_ino &&
      job.offset < job.source_offset + job.size && job.source_offset < job.offset + job.size) {
    return fail_os(EINVAL, "overlapping ranges");
  }
  return job;
}

}  // namespace

Result<uint64_t> seek_in(int fd, uint64_t offset, bool hole) {
  if (offset > INT64_MAX) {
    return fail_os(ENXIO, "seek");
  }
  const off_t found = ::lseek(fd, static_cast<off_t>(offset), hole ? SEEK_HOLE : SEEK_DATA);
  if (found < 0) {
    return fail_os(errno, "seek");
  }
  return static_cast<uint64_t>(found);
}

Status allocate_in(int fd, uint32_t mode, uint64_t offset, uint64_t size) {
  if ((mode & ~(wire::kKeepSize | wire::kPunchHole | wire::kZeroRange)) != 0) {
    return fail_os(EOPNOTSUPP, "allocate");
  }
  if (offset > INT64_MAX || size > INT64_MAX) {
    return fail_os(EFBIG, "allocate");
  }
  if ((mode & wire::kPunchHole) == 0) {
    CPAWAY_ASSIGN(const bool may, may_have_room(fd, size));
    if (!may) {
      return fail_os(ENOSPC, "allocate");
    }
  }
  int result = 0;
  do {
    result = ::fallocate(fd, static_cast<int>(mode), static_cast<off_t>(offset),
                         static_cast<off_t>(size));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    // ENOSYS would tell the mounting kernel that no file can.
    return fail_os(errno == ENOSYS ? EOPNOTSUPP : errno, "allocate");
  }
  return {};
}

Result<uint64_t> copy_in(const CopyJob& wanted, const Copied& copied) {
  CPAWAY_ASSIGN(const CopyJob job, judge_copy(wanted));
  uint64_t done = 0;
  while (done < job.size) {
    CopyJob rest = job;
    rest.source_offset += done;
    rest.offset += done;
    rest.size -= done;
    const Part part = next_part(rest);
    uint64_t size = part.job.size;
    if (part.is_hole) {
      const Status made = make_hole(part.job);
      if (!made) {
        return done > 0 ? Result<uint64_t>(done) : fail(made.error());
      }
    } else {
      const auto got = copy_and_check(part.job, copied);
      if (!got) {
        return done > 0 ? Result<uint64_t>(done) : fail(got.error());
      }
      size = *got;
    }
    done += size;
    if (size < part.job.size) {
      break;
    }
  }
  return done;
}

}  // namespace cpaway::agent
