// Looks at an LMDB file before LMDB maps it.
//
// LMDB has no checksums and follows the page numbers and offsets that it finds: a damaged file
// makes it read outside the map, loop or abort. This walk of all trees finds what could do that:
// FORMAT.md, "Damage", lists what is compared. It reads with pread, so that a short file or a disk
// error is an error and not a signal, and looks at each page once, so that it ends.
//
// The layout is that of LMDB's data format 1 (0.9), 64 bits, little-endian, which has not changed
// since 2011. A file of another format is left to LMDB to refuse.
#pragma once

#include <string>

#include "engine/base/result.h"

namespace cpaway::cache {

// Good for a whole file, for an empty one, and for none. Errc::verify names the page; an errno
// where the file cannot be read.
[[nodiscard]] Status check_env_file(const std::string& path);

}  // namespace cpaway::cache
