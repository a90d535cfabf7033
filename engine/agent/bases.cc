#include "engine/agent/bases.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/agent/verified_io.h"
#include "engine/delta/chunk_codec.h"
#include "engine/delta/chunker.h"

namespace cpaway::agent {
namespace {

constexpr uint32_t kSmallestChunk = 1024;
constexpr size_t kReadSize = 1UL << 20U;

bool valid_sizes(const wire::ListChunks& request) {
  if (request.max == 0 || request.max > hash::kMaxChunkSize) {
    return false;
  }
  if (request.average == 0) {
    return request.max >= kSmallestChunk;
  }
  return request.min >= kSmallestChunk && request.min <= request.average &&
         request.average <= request.max && std::has_single_bit(request.average);
}

}  // namespace

Status Bases::add(uint8_t number, Basis basis) {
  const MutexLock lock(mutex_);
  if (number > wire::kMaxBasis || bases_[number] != nullptr) {
    return fail_os(EINVAL, "number of a basis");
  }
  basis.is_target = basis.is_target && !has_target_;
  has_target_ = has_target_ || basis.is_target;
  bases_[number] = std::make_shared<const Basis>(std::move(basis));
  return {};
}

Result<Bases::Pointer> Bases::find(uint8_t number) const {
  const MutexLock lock(mutex_);
  if (number > wire::kMaxBasis || bases_[number] == nullptr) {
    return fail_os(EBADF, "no such basis");
  }
  return bases_[number];
}

Bases::Pointer Bases::target() const {
  const MutexLock lock(mutex_);
  for (const Pointer& basis : bases_) {
    if (basis != nullptr && basis->is_target) {
      return basis;
    }
  }
  return nullptr;
}

Result<Bytes> list_chunks(const Basis& basis, const wire::ListChunks& request) {
  if (!valid_sizes(request) || request.size > wire::ListChunks::kMaxSize) {
    return fail_os(EINVAL, "chunks");
  }
  const delta::ChunkSizes sizes{request.min, request.average, request.max};
  hash::ChunkList list;
  std::vector<uint8_t> buffer(kReadSize + request.max);
  size_t held = 0;  // at the front of the buffer: read, not cut yet
  uint64_t at = request.offset;
  for (uint64_t listed = 0; listed < request.size;) {
    const std::span<uint8_t> space = std::span(buffer).subspan(held, kReadSize);
    CPAWAY_ASSIGN(const size_t got, read_range(basis.fd.get(), space, at));
    at += got;
    held += got;
    const bool at_end = got < space.size();
    const size_t cut = delta::append_chunks(ByteSpan(buffer).first(held), at_end, sizes, list);
    listed += cut;
    held -= cut;
    std::memmove(buffer.data(), buffer.data() + cut, held);
    if (at_end) {
      break;
    }
  }
  Bytes packed;
  delta::encode_chunks(list, packed);
  return packed;
}

}  // namespace cpaway::agent
