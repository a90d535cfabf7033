#include "tests/engine/agent/upload_client.h"

#include <gtest/gtest.h>
#include <sys/xattr.h>

#include "engine/delta/chunk_codec.h"

namespace cpaway::testing {
namespace {

SharedBytes copy_of(ByteSpan bytes) {
  return shared(Bytes(bytes.begin(), bytes.end()));
}

Status status_of(const Result<wire::Empty>& answer) {
  return answer ? Status{} : Status(fail(answer.error()));
}

}  // namespace

UploadClient::UploadClient(const std::string& directory, agent::Options options, uint32_t uid)
    : client_(std::move(options), uid) {
  EXPECT_TRUE(client_.hello(directory));
}

Result<wire::Init::Answer> UploadClient::init(const std::string& path,
                                              const std::string& staging_name) {
  return client_.call(wire::Init{kUpload, path, staging_name});
}

Status UploadClient::cancel(bool keep) {
  return status_of(client_.call(wire::Cancel{kUpload, keep}));
}

Result<wire::Attr> UploadClient::basis(uint8_t number, const std::string& path) {
  return client_.call(wire::AddBasis{kUpload, number, path});
}

Result<bool> UploadClient::block(uint64_t offset, ByteSpan bytes) {
  const wire::Block request = block_of(kUpload, offset, bytes);
  CPAWAY_ASSIGN(const auto answer, client_.call(request, copy_of(bytes)));
  EXPECT_EQ(answer.offset, offset);
  EXPECT_EQ(answer.size, bytes.size());
  return answer.hash == request.hash;
}

Result<bool> UploadClient::delta(uint64_t offset, ByteSpan content,
                                 const std::vector<wire::Segment>& segments, const Bytes& literals,
                                 uint8_t coding) {
  const wire::DeltaBlock request = delta_of(offset, content, segments, coding);
  CPAWAY_ASSIGN(const auto answer, client_.call(request, shared(literals)));
  EXPECT_EQ(answer.offset, offset);
  EXPECT_EQ(answer.size, content.size());
  return answer.hash == request.hash;
}

Result<bool> UploadClient::same(uint8_t basis, uint64_t offset, ByteSpan content) {
  return delta(offset, content, {{basis, static_cast<uint32_t>(content.size()), offset}});
}

Result<Bytes> UploadClient::read(uint64_t offset, uint32_t size) {
  Bytes bulk;
  CPAWAY_TRY(client_.call(wire::ReadTransfer{kUpload, offset, size}, nullptr, &bulk));
  return bulk;
}

Status UploadClient::truncate(uint64_t size) {
  return status_of(client_.call(wire::TruncateTransfer{kUpload, size}));
}

Result<hash::ChunkList> UploadClient::chunks(const wire::ListChunks& request) {
  Bytes bulk;
  CPAWAY_TRY(client_.call(request, nullptr, &bulk));
  return delta::decode_chunk_list(bulk, bulk.size());
}

Result<wire::CommitAnswer> UploadClient::commit(ByteSpan content,
                                                const wire::Placement& placement) {
  return commit(content.size(), hash::sha256(content), placement);
}

Result<wire::CommitAnswer> UploadClient::commit(uint64_t size,
                                                const std::optional<hash::Sha256Value>& sha256,
                                                const wire::Placement& placement) {
  wire::Commit request;
  request.transfer = kUpload;
  request.size = size;
  request.sha256 = sha256;
  request.placement = placement;
  return client_.call(request);
}

Result<wire::Collect::Answer> UploadClient::collect(const std::string& path, uint64_t older_than,
                                                    bool recursive) {
  return client_.call(wire::Collect{path, older_than, recursive});
}

void UploadClient::finish() {
  EXPECT_TRUE(client_.finish());
}

struct stat stat_of(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
  return st;
}

wire::DeltaBlock delta_of(uint64_t offset, ByteSpan content,
                          const std::vector<wire::Segment>& segments, uint8_t coding) {
  return {kUpload, offset,  static_cast<uint32_t>(content.size()), hash::block_hash(content),
          coding,  segments};
}

Bytes joined(ByteSpan first, ByteSpan second) {
  Bytes bytes(first.begin(), first.end());
  bytes.insert(bytes.end(), second.begin(), second.end());
  return bytes;
}

bool has_user_xattrs(const std::string& directory) {
  return ::setxattr(directory.c_str(), "user.probe", "x", 1, 0) == 0 &&
         ::removexattr(directory.c_str(), "user.probe") == 0;
}

}  // namespace cpaway::testing
