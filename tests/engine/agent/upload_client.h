// An agent in a directory, and the steps of an upload to it.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "engine/hash/chunk.h"
#include "tests/engine/agent/agent_client.h"

namespace cpaway::testing {

inline constexpr uint32_t kUpload = 1;  // the transfer of each step

class UploadClient {
 public:
  // Options and user as of AgentClient.
  explicit UploadClient(const std::string& directory, agent::Options options = {},
                        uint32_t uid = 0);

  [[nodiscard]] Result<wire::Init::Answer> init(const std::string& path = "f",
                                                const std::string& staging_name = "");
  [[nodiscard]] Status cancel(bool keep);
  [[nodiscard]] Result<wire::Attr> basis(uint8_t number, const std::string& path);
  // True where the bytes arrived.
  [[nodiscard]] Result<bool> block(uint64_t offset, ByteSpan bytes);
  // True where the agent put together what `content` is.
  [[nodiscard]] Result<bool> delta(uint64_t offset, ByteSpan content,
                                   const std::vector<wire::Segment>& segments,
                                   const Bytes& literals = {}, uint8_t coding = wire::kPlain);
  // `size` bytes copied from the same place of a basis.
  [[nodiscard]] Result<bool> same(uint8_t basis, uint64_t offset, ByteSpan content);
  [[nodiscard]] Result<Bytes> read(uint64_t offset, uint32_t size);
  [[nodiscard]] Status truncate(uint64_t size);
  [[nodiscard]] Result<hash::ChunkList> chunks(const wire::ListChunks& request);
  [[nodiscard]] Result<wire::CommitAnswer> commit(ByteSpan content,
                                                  const wire::Placement& placement = place_at("f"));
  // The same with any digest, or none.
  [[nodiscard]] Result<wire::CommitAnswer> commit(uint64_t size,
                                                  const std::optional<hash::Sha256Value>& sha256,
                                                  const wire::Placement& placement = place_at("f"));
  [[nodiscard]] Result<wire::Collect::Answer> collect(const std::string& path, uint64_t older_than,
                                                      bool recursive = false);

  [[nodiscard]] AgentClient& client() { return client_; }
  // The connection ends, and the agent with it.
  void finish();

 private:
  AgentClient client_;
};

[[nodiscard]] struct stat stat_of(const std::string& path);
// The request that delta() sends.
[[nodiscard]] wire::DeltaBlock delta_of(uint64_t offset, ByteSpan content,
                                        const std::vector<wire::Segment>& segments,
                                        uint8_t coding = wire::kPlain);
[[nodiscard]] Bytes joined(ByteSpan first, ByteSpan second);
[[nodiscard]] bool has_user_xattrs(const std::string& directory);

}  // namespace cpaway::testing
