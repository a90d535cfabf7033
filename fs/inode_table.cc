#include "fs/inode_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/random.h"

namespace cpaway::fs {
namespace {

// A file below another mount on the remote host may share its number with one of the root's.
uint64_t mix_ino(uint64_t dev, uint64_t ino) {
  uint64_t x = ino ^ (dev * 0x9e3779b97f4a7c15ULL);
  x ^= x >> 31U;
  return x | (1ULL << 62U);
}

// Above what filesystems give out, and not what an earlier mount gave: 60 random bits.
uint64_t first_fresh() {
  std::array<unsigned char, sizeof(uint64_t)> bytes{};
  fill_random(bytes);
  return load_be<uint64_t>(bytes.data()) >> 4U;
}

}  // namespace

InodeTable::InodeTable(const wire::Attr& root, upload::Journal& journal)
    : journal_(journal), root_dev_(root.dev), next_fresh_(first_fresh()) {
  const MutexLock lock(mutex_);
  Entry& entry = add_locked(root.ino);
  entry.lookups = 1;
  entry.key = identity_of(root);
  by_key_[*entry.key] = entry.inode->id;
  root_ = entry.inode;
}

InodePtr InodeTable::find(uint64_t id) const {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : found->second.inode;
}

InodePtr InodeTable::find(const Inode& parent, std::string_view name) const {
  const MutexLock lock(mutex_);
  const auto found = by_name_.find(Name(parent.id, name));
  return found == by_name_.end() ? nullptr : entries_.at(found->second).inode;
}

std::optional<std::string> InodeTable::path_locked(uint64_t id) const {
  std::vector<std::string_view> parts;
  size_t size = 0;
  while (id != kRootId) {
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.names.empty()) {
      return std::nullopt;
    }
    const Name& name = found->second.names.front();
    parts.push_back(name.second);
    size += name.second.size() + 1;
    id = name.first;
  }
  std::string path;
  path.reserve(size);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!path.empty()) {
      path.push_back('/');
    }
    path.append(*part);
  }
  return path;
}

std::optional<std::string> InodeTable::path(const Inode& inode) const {
  const MutexLock lock(mutex_);
  return path_locked(inode.id);
}

std::optional<std::string> InodeTable::path(const Inode& parent, std::string_view name) const {
  const MutexLock lock(mutex_);
  auto path = path_locked(parent.id);
  if (path) {
    if (!path->empty()) {
      path->push_back('/');
    }
    path->append(name);
  }
  return path;
}

InodePtr InodeTable::parent(const Inode& inode) const {
  const auto one = name(inode);
  return one ? one->first : nullptr;
}

std::optional<std::pair<InodePtr, std::string>> InodeTable::name(const Inode& inode) const {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(inode.id);
  if (found == entries_.end() || found->second.names.empty()) {
    return std::nullopt;
  }
  const Name& one = found->second.names.front();
  return std::pair(entries_.at(one.first).inode, one.second);
}

uint64_t InodeTable::remote_ino(const upload::FileIdentity& key) const {
  return key.dev == root_dev_ ? key.ino : mix_ino(key.dev, key.ino);
}

uint64_t InodeTable::fresh_ino() {
  return (next_fresh_++ & ((1ULL << 61U) - 1)) | (1ULL << 61U);
}

uint64_t InodeTable::known_ino(const upload::FileIdentity& key) {
  if (const auto number = journal_.find_number(key)) {
    return *number;
  }
  const uint64_t number = remote_ino(key);
  return journal_.is_taken(number, key) ? fresh_ino() : number;
}

InodeTable::Entry* InodeTable::find_locked(const Inode& parent, std::string_view name,
                                           const upload::FileIdentity& key) {
  const auto named = by_name_.find(Name(parent.id, name));
  if (named != by_name_.end()) {
    Entry& entry = entries_.at(named->second);
    if (entry.key == key) {
      return &entry;
    }
    unlink_locked(parent.id, name);
  }
  const auto keyed = by_key_.find(key);
  if (keyed == by_key_.end()) {
    return nullptr;
  }
  Entry& entry = entries_.at(keyed->second);
  if (entry.inode->id != kRootId) {
    link_locked(entry, parent.id, name);
  }
  return &entry;
}

InodePtr InodeTable::intern(const InodePtr& parent, std::string_view name, const wire::Attr& attr) {
  const upload::FileIdentity key = identity_of(attr);
  {
    const MutexLock lock(mutex_);
    if (Entry* entry = find_locked(*parent, name, key)) {
      ++entry->lookups;
      return entry->inode;
    }
  }
  uint64_t number = known_ino(key);
  InodePtr inode;
  {
    const MutexLock lock(mutex_);
    if (Entry* entry = find_locked(*parent, name, key)) {
      ++entry->lookups;
      return entry->inode;
    }
    if (by_shown_.contains(number)) {
      number = fresh_ino();
    }
    Entry& entry = add_locked(number);
    entry.lookups = 1;
    entry.key = key;
    by_key_[key] = entry.inode->id;
    link_locked(entry, parent->id, name);
    inode = entry.inode;
  }
  if (number != remote_ino(key)) {
    journal_.remember_number(key, number);
  }
  return inode;
}

uint64_t InodeTable::shown_ino(const wire::Attr& attr) {
  const upload::FileIdentity key = identity_of(attr);
  {
    const MutexLock lock(mutex_);
    const auto keyed = by_key_.find(key);
    if (keyed != by_key_.end()) {
      return entries_.at(keyed->second).inode->shown_ino;
    }
  }
  const uint64_t number = known_ino(key);
  bool taken = false;
  {
    const MutexLock lock(mutex_);
    taken = by_shown_.contains(number);
  }
  if (!taken && number == remote_ino(key)) {
    return number;
  }
  const uint64_t shown = taken ? fresh_ino() : number;
  journal_.remember_number(key, shown);
  return shown;
}

InodePtr InodeTable::create(const InodePtr& parent, std::string_view name) {
  const MutexLock lock(mutex_);
  unlink_locked(parent->id, name);
  Entry& entry = add_locked(fresh_ino());
  entry.lookups = 1;
  link_locked(entry, parent->id, name);
  return entry.inode;
}

void InodeTable::set_key(const InodePtr& inode, std::optional<upload::FileIdentity> key) {
  std::optional<upload::FileIdentity> before;
  {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(inode->id);
    if (found == entries_.end()) {
      return;
    }
    before = std::exchange(found->second.key, key);
    if (before) {
      const auto old = by_key_.find(*before);
      if (old != by_key_.end() && old->second == inode->id) {
        by_key_.erase(old);
      }
    }
    if (key) {
      by_key_[*key] = inode->id;
    }
  }
  if (key && remote_ino(*key) != inode->shown_ino) {
    journal_.remember_number(*key, inode->shown_ino);
  } else if (before && remote_ino(*before) != inode->shown_ino) {
    journal_.forget_number(*before, inode->shown_ino);
  }
}

void InodeTable::add_lookup(const InodePtr& inode) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(inode->id);
  if (found != entries_.end()) {
    ++found->second.lookups;
  }
}

void InodeTable::forget(uint64_t id, uint64_t count) {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) {
    return;
  }
  found->second.lookups -= std::min(found->second.lookups, count);
  drop_unused_locked(id);
}

void InodeTable::remove_name(const Inode& parent, std::string_view name) {
  const MutexLock lock(mutex_);
  unlink_locked(parent.id, name);
}

void InodeTable::rename(const InodePtr& from, std::string_view name, const InodePtr& to,
                        std::string_view new_name, bool exchange) {
  const MutexLock lock(mutex_);
  const auto source = by_name_.find(Name(from->id, name));
  const auto target = by_name_.find(Name(to->id, new_name));
  const std::optional<uint64_t> source_id =
      source == by_name_.end() ? std::nullopt : std::optional(source->second);
  const std::optional<uint64_t> target_id =
      target == by_name_.end() ? std::nullopt : std::optional(target->second);
  if (source_id == target_id && source_id) {
    return;  // two names of one file: rename(2) does nothing
  }
  // Keeps both while they have no name.
  for (const auto& id : {source_id, target_id}) {
    if (id) {
      ++entries_.at(*id).lookups;
    }
  }
  unlink_locked(from->id, name);
  unlink_locked(to->id, new_name);
  if (source_id) {
    link_locked(entries_.at(*source_id), to->id, new_name);
  }
  if (target_id && exchange) {
    link_locked(entries_.at(*target_id), from->id, name);
  }
  for (const auto& id : {source_id, target_id}) {
    if (id) {
      --entries_.at(*id).lookups;
      drop_unused_locked(*id);
    }
  }
}

std::vector<std::pair<std::string, InodePtr>> InodeTable::children(const Inode& parent) const {
  const MutexLock lock(mutex_);
  std::vector<std::pair<std::string, InodePtr>> out;
  for (auto at = by_name_.lower_bound(Name(parent.id, std::string()));
       at != by_name_.end() && at->first.first == parent.id; ++at) {
    out.emplace_back(at->first.second, entries_.at(at->second).inode);
  }
  return out;
}

std::vector<InodePtr> InodeTable::all() const {
  const MutexLock lock(mutex_);
  std::vector<InodePtr> out;
  out.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) {
    out.push_back(entry.inode);
  }
  return out;
}

InodeTable::Entry& InodeTable::add_locked(uint64_t shown_ino) {
  const uint64_t id = next_id_++;
  Entry& entry = entries_[id];
  entry.inode = std::make_shared<Inode>(id, shown_ino);
  by_shown_.emplace(shown_ino, id);
  return entry;
}

void InodeTable::link_locked(Entry& entry, uint64_t parent_id, std::string_view name) {
  Name key(parent_id, name);
  entry.names.push_back(key);
  by_name_[std::move(key)] = entry.inode->id;
  ++entries_.at(parent_id).children;
}

void InodeTable::unlink_locked(uint64_t parent_id, std::string_view name) {
  const auto found = by_name_.find(Name(parent_id, name));
  if (found == by_name_.end()) {
    return;
  }
  const uint64_t id = found->second;
  std::erase(entries_.at(id).names, found->first);
  by_name_.erase(found);
  Entry& parent = entries_.at(parent_id);
  CHECK(parent.children > 0);
  --parent.children;
  drop_unused_locked(id);
  drop_unused_locked(parent_id);
}

// Names go with the entry: unlink_locked comes back here for the parents.
void InodeTable::drop_unused_locked(uint64_t id) {
  const auto found = entries_.find(id);
  if (id == kRootId || found == entries_.end() || found->second.lookups > 0 ||
      found->second.children > 0) {
    return;
  }
  Entry entry = std::move(found->second);
  entries_.erase(found);
  const auto shown = by_shown_.find(entry.inode->shown_ino);
  if (shown != by_shown_.end() && shown->second == id) {
    by_shown_.erase(shown);
  }
  if (entry.key) {
    const auto keyed = by_key_.find(*entry.key);
    if (keyed != by_key_.end() && keyed->second == id) {
      by_key_.erase(keyed);
    }
  }
  for (const Name& name : entry.names) {
    by_name_.erase(name);
    const auto parent = entries_.find(name.first);
    if (parent != entries_.end()) {
      --parent->second.children;
      drop_unused_locked(name.first);
    }
  }
}

}  // namespace cpaway::fs
