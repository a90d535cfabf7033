#include "cache/changes.h"

#include <algorithm>

namespace cpaway::cache {
namespace {

using FileIdPair = std::pair<uint64_t, uint64_t>;

FileIdPair id_of(const upload::VersionKey& key) {
  return {key.dev, key.ino};
}

size_t common(const std::vector<Sample>& sorted, const std::vector<Sample>& of_file) {
  return static_cast<size_t>(
      std::count_if(of_file.begin(), of_file.end(), [&sorted](const Sample sample) {
        return std::binary_search(sorted.begin(), sorted.end(), sample);
      }));
}

}  // namespace

// From the newest change back: each says what the version it made was before.
Resolved resolve(const VersionChanges& changes, const upload::VersionKey& key) {
  Resolved resolved;
  resolved.stored_as = key;
  for (auto at = changes.rbegin(); at != changes.rend(); ++at) {
    const VersionChange& change = **at;
    const upload::VersionKey& made =
        change.remembered ? change.remembered->version.file.key : change.now.key;
    const bool rekeyed_away =
        !change.remembered && change.before == resolved.stored_as && made != resolved.stored_as;
    if (rekeyed_away || (id_of(made) == id_of(resolved.stored_as) && made != resolved.stored_as)) {
      resolved.gone = true;
      return resolved;
    }
    if (made != resolved.stored_as) {
      continue;
    }
    if (change.remembered) {
      resolved.pending = change.remembered;
      return resolved;
    }
    if (!resolved.now) {
      resolved.now = change.now;
    }
    resolved.stored_as = change.before;
  }
  return resolved;
}

std::vector<SimilarFile> merge_similar(const VersionChanges& changes,
                                       const std::vector<Sample>& samples,
                                       std::vector<SimilarFile> found) {
  std::map<FileIdPair, SimilarFile> by_id;
  for (SimilarFile& file : found) {
    by_id.insert_or_assign(id_of(file.file.key), std::move(file));
  }
  for (const auto& change : changes) {
    if (change->remembered) {
      const upload::KnownFile& file = change->remembered->version.file;
      by_id.insert_or_assign(id_of(file.key),
                             SimilarFile{file, common(samples, change->remembered->samples)});
      continue;
    }
    const auto before = by_id.find(id_of(change->before));
    if (before != by_id.end() && before->second.file.key == change->before) {
      SimilarFile moved{change->now, before->second.hits};
      by_id.erase(before);
      by_id.insert_or_assign(id_of(change->now.key), std::move(moved));
    }
  }
  std::vector<SimilarFile> merged;
  for (auto& [id, file] : by_id) {
    if (file.hits > 0) {
      merged.push_back(std::move(file));
    }
  }
  std::stable_sort(merged.begin(), merged.end(),
                   [](const auto& a, const auto& b) { return a.hits > b.hits; });
  return merged;
}

}  // namespace cpaway::cache
