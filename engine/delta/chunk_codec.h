// A list of chunks as bytes: on the wire, and in the store of known versions.
//
//   list    entries, one after the other; it ends where the bytes end
//   entry   size  1 to 3 bytes: 7 bits each, the lowest first, bit 7 set in all but the last;
//                 no longer than it need be; 1 to 2^20
//           id    16 bytes: XXH3-128 of the chunk, canonical form
//
// So 18 bytes for a chunk below 16 KiB and 19 for any other; below 128 bytes it is 17. The list has
// no count and no offset: what carries it says where it begins and how long it is. Pure functions;
// thread-safe.
#pragma once

#include <cstddef>

#include "engine/base/bytes.h"
#include "engine/base/result.h"
#include "engine/hash/chunk.h"

namespace cpaway::delta {

// Appends to `out`. The chunks are ours, with sizes in bounds.
void encode_chunks(const hash::ChunkList& chunks, Bytes& out);

// Appends the whole entries at the front of `in` to `chunks`, until the list holds `max_chunks`.
// Returns the bytes read: fewer than `in` has where its last entry is incomplete or the list is
// full, which is no error. Errc::protocol where an entry is malformed, whatever may follow.
[[nodiscard]] Result<size_t> decode_chunks(ByteSpan in, size_t max_chunks, hash::ChunkList& chunks);

// All of `in`. Errc::protocol where an entry is malformed or incomplete, Errc::limit where there
// are more than `max_chunks`.
[[nodiscard]] Result<hash::ChunkList> decode_chunk_list(ByteSpan in, size_t max_chunks);

}  // namespace cpaway::delta
