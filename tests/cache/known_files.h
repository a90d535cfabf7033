// Versions and stores for the tests of cache. All content follows from a seed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cache/store.h"

namespace cpaway::testing {

// Sizes of 2 to 16 KiB, 9 KiB in the mean.
[[nodiscard]] hash::ChunkList make_chunks(uint64_t seed, size_t count);
[[nodiscard]] std::vector<hash::BlockHash> ids_of(const hash::ChunkList& chunks);
// The key's size is that of the chunks.
[[nodiscard]] upload::KnownVersion make_version(uint64_t ino, size_t chunk_count,
                                                const std::string& path = "dir/file");
[[nodiscard]] upload::AcknowledgedBlock make_block(uint64_t offset, uint32_t size);
[[nodiscard]] bool same_version(const upload::KnownVersion& a, const upload::KnownVersion& b);

// Aborts where it cannot be opened.
[[nodiscard]] std::unique_ptr<cache::Store> open_store(const std::string& directory,
                                                       uint64_t max_size = uint64_t{64} << 20U);
[[nodiscard]] std::string data_file(const std::string& directory);

// Runs in a child process, which ends without what a test program does at its end. Returns the
// status as waitpid gives it; kills the child after `kill_after_us`, unless that is negative.
[[nodiscard]] int run_in_child(const std::function<void()>& body, int64_t kill_after_us = -1);

}  // namespace cpaway::testing
