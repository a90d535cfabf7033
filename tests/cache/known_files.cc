#include "tests/cache/known_files.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace cpaway::testing {

hash::ChunkList make_chunks(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  hash::ChunkList chunks(count);
  for (hash::Chunk& chunk : chunks) {
    store_be(chunk.id.data(), static_cast<uint64_t>(random()));
    store_be(chunk.id.data() + sizeof(uint64_t), static_cast<uint64_t>(random()));
    chunk.size = 2048 + static_cast<uint32_t>(random() % 14337);
  }
  return chunks;
}

std::vector<hash::BlockHash> ids_of(const hash::ChunkList& chunks) {
  std::vector<hash::BlockHash> ids;
  ids.reserve(chunks.size());
  for (const hash::Chunk& chunk : chunks) {
    ids.push_back(chunk.id);
  }
  return ids;
}

upload::KnownVersion make_version(uint64_t ino, size_t chunk_count, const std::string& path) {
  upload::KnownVersion version;
  version.chunks = make_chunks(ino, chunk_count);
  version.file.path = path;
  version.file.key.dev = 0xfd01;
  version.file.key.ino = ino;
  for (const hash::Chunk& chunk : version.chunks) {
    version.file.key.size += chunk.size;
  }
  version.file.key.mtime_s = 1'700'000'000 + static_cast<int64_t>(ino);
  version.file.key.ctime_s = version.file.key.mtime_s + 3;
  version.file.key.mtime_ns = 123'456'789;
  version.file.key.ctime_ns = 987'654'321;
  store_be(version.sha256.data(), ino);
  version.sha256[31] = 1;
  return version;
}

upload::AcknowledgedBlock make_block(uint64_t offset, uint32_t size) {
  upload::AcknowledgedBlock block;
  block.offset = offset;
  block.block.size = size;
  store_be(block.block.id.data(), offset);
  return block;
}

bool same_version(const upload::KnownVersion& a, const upload::KnownVersion& b) {
  return a.file.key == b.file.key && a.file.path == b.file.path && a.sha256 == b.sha256 &&
         a.chunks == b.chunks;
}

std::unique_ptr<cache::Store> open_store(const std::string& directory, uint64_t max_size) {
  cache::StoreOptions options;
  options.directory = directory;
  options.max_size = max_size;
  auto store = cache::Store::open(options);
  if (!store) {
    std::fprintf(stderr, "open_store: %s\n", store.error().to_string().c_str());
    std::abort();
  }
  return std::move(*store);
}

std::string data_file(const std::string& directory) {
  return directory + "/store/data.mdb";
}

int run_in_child(const std::function<void()>& body, int64_t kill_after_us) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  if (child > 0 && kill_after_us >= 0) {
    usleep(static_cast<useconds_t>(kill_after_us));
    kill(child, SIGKILL);
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    std::abort();
  }
  return status;
}

}  // namespace cpaway::testing
