#include "cache/env_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/fd.h"
#include "engine/base/strings.h"

namespace cpaway::cache {
namespace {

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kFormat = 1;
constexpr size_t kMetaCount = 2;
constexpr uint64_t kNoPage = ~uint64_t{0};
constexpr unsigned kMaxDepth = 32;  // of LMDB's cursors
constexpr size_t kMaxKeySize = 511;
constexpr uint64_t kMaxPages = uint64_t{1} << 32U;  // 16 TiB: the size of our page maps
constexpr uint64_t kUnwrittenPages = 65536;

// Flags of pages, of nodes, and of the list of free pages.
constexpr uint16_t kBranchPage = 0x01;
constexpr uint16_t kLeafPage = 0x02;
constexpr uint16_t kOverflowPage = 0x04;
constexpr uint16_t kMetaPage = 0x08;
constexpr uint16_t kBigNode = 0x01;
constexpr uint16_t kTreeNode = 0x02;
constexpr uint16_t kIntegerKeys = 0x08;

// As they lie in the file.
struct PageHeader {
  uint64_t number;
  uint16_t pad;
  uint16_t flags;
  uint16_t lower;  // end of the offsets of nodes; in overflow pages both are the page count, u32
  uint16_t upper;  // where the nodes begin
};
struct Tree {
  uint32_t page_size;  // in the list of free pages
  uint16_t flags;
  uint16_t depth;
  uint64_t branch_pages;
  uint64_t leaf_pages;
  uint64_t overflow_pages;
  uint64_t entries;
  uint64_t root;
};
struct Meta {
  uint32_t magic;
  uint32_t format;
  uint64_t address;
  uint64_t map_size;
  Tree free_pages;
  Tree main;
  uint64_t last_page;
  uint64_t txn_id;
};
static_assert(sizeof(PageHeader) == 16 && sizeof(Tree) == 48 && sizeof(Meta) == 136);
constexpr size_t kNodeHeader = 8;

template <typename T>
T load(ByteSpan bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

enum class Kind { free_pages, main, table };

struct Node {
  uint16_t flags = 0;
  ByteSpan key;
  uint64_t child = 0;       // of a branch
  ByteSpan value;           // of a leaf: in the page itself
  uint64_t value_size = 0;  // or, with kBigNode, in overflow pages
};

// What one tree was seen to be, to compare with what is said of it.
struct Walk {
  Kind kind = Kind::table;
  Tree seen{};
  std::vector<uint8_t> last_key;  // of the leaf entries so far
  bool has_last = false;
  std::vector<uint8_t> floor;  // no key to come is lower
};

class Checker {
 public:
  Checker(int fd, uint64_t file_size)
      : fd_(fd),
        page_size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
        file_pages_(file_size / page_size_) {}

  Status run() {
    CPAWAY_ASSIGN(const Meta meta, newest_meta());
    if (meta.format != kFormat) {
      return {};
    }
    if (meta.last_page < kMetaCount - 1 || meta.last_page >= kMaxPages) {
      return damage("last page", meta.last_page);
    }
    last_page_ = meta.last_page;
    txn_id_ = meta.txn_id;
    // No page in use lies behind the end of the file; free ones may, if never written, but not far.
    used_.resize(std::min(file_pages_, last_page_ + 1));
    free_.resize(std::min(8 * file_pages_ + kUnwrittenPages, last_page_ + 1));
    CPAWAY_TRY(check_tree(meta.main, Kind::main));
    for (size_t i = 0; i < tables_.size(); ++i) {
      const Tree table = tables_[i];
      CPAWAY_TRY(check_tree(table, Kind::table));
    }
    CPAWAY_TRY(check_tree(meta.free_pages, Kind::free_pages));
    return check_free_pages();
  }

 private:
  static tl::unexpected<Error> damage(std::string_view what, uint64_t page) {
    return fail(Errc::verify, concat("damaged page ", page, ": ", what));
  }

  Result<Bytes> read_page(uint64_t page) const {
    Bytes bytes(page_size_);
    CPAWAY_ASSIGN(const size_t size, pread_full(fd_, bytes, page * page_size_));
    if (size != page_size_) {
      return damage("behind the end of the file", page);
    }
    return bytes;
  }

  Result<Meta> newest_meta() const {
    Meta newest{};
    for (uint64_t page = 0; page < kMetaCount; ++page) {
      CPAWAY_ASSIGN(const Bytes bytes, read_page(page));
      const auto header = load<PageHeader>(bytes, 0);
      const auto meta = load<Meta>(bytes, sizeof(PageHeader));
      const bool other_format = meta.magic == kMagic && meta.format != kFormat;
      if (header.flags != kMetaPage || meta.magic != kMagic) {
        return damage("no meta page of LMDB", page);
      }
      if (!other_format && (meta.free_pages.page_size != page_size_ ||
                            meta.free_pages.flags != kIntegerKeys || meta.main.flags != 0)) {
        return damage("page size or flags", page);
      }
      if (page == 0 || meta.txn_id > newest.txn_id) {
        newest = meta;
      }
    }
    return newest;
  }

  // Each page belongs to one owner.
  Status use(uint64_t page, uint64_t count) {
    if (page < kMetaCount || count > used_.size() || page > used_.size() - count) {
      return damage("outside the file", page);
    }
    for (uint64_t i = page; i < page + count; ++i) {
      if (used_[i]) {
        return damage("used twice", i);
      }
      used_[i] = true;
    }
    return {};
  }

  Status check_tree(const Tree& tree, Kind kind) {
    Walk walk;
    walk.kind = kind;
    if (tree.flags != (kind == Kind::free_pages ? kIntegerKeys : 0) || tree.depth > kMaxDepth ||
        (tree.root == kNoPage) != (tree.depth == 0)) {
      return damage("what is said of this root", tree.root);
    }
    if (tree.depth > 0) {
      CPAWAY_TRY(walk_page(walk, tree.root, tree.depth));
    }
    if (walk.seen.branch_pages != tree.branch_pages || walk.seen.leaf_pages != tree.leaf_pages ||
        walk.seen.overflow_pages != tree.overflow_pages || walk.seen.entries != tree.entries) {
      return damage("counts of the tree with this root", tree.root);
    }
    return {};
  }

  // NOLINTNEXTLINE(misc-no-recursion): `depth` bounds it
  Status walk_page(Walk& walk, uint64_t page, unsigned depth) {
    CPAWAY_TRY(use(page, 1));
    CPAWAY_ASSIGN(const Bytes bytes, read_page(page));
    const bool is_leaf = depth == 1;
    const auto header = load<PageHeader>(bytes, 0);
    if (header.number != page || header.flags != (is_leaf ? kLeafPage : kBranchPage)) {
      return damage("number or type", page);
    }
    ++(is_leaf ? walk.seen.leaf_pages : walk.seen.branch_pages);
    CPAWAY_ASSIGN(const std::vector<Node> nodes, read_nodes(bytes, page, is_leaf));
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (is_leaf) {
        CPAWAY_TRY(check_entry(walk, nodes[i], page));
        continue;
      }
      if (i > 0) {
        CPAWAY_TRY(check_separator(walk, nodes[i], page));
      }
      CPAWAY_TRY(walk_page(walk, nodes[i].child, depth - 1));
    }
    return {};
  }

  Result<std::vector<Node>> read_nodes(ByteSpan bytes, uint64_t page, bool is_leaf) const {
    const auto header = load<PageHeader>(bytes, 0);
    const size_t upper = header.upper;
    if (header.lower <= sizeof(PageHeader) || header.lower % 2 != 0 || header.lower > upper ||
        upper > page_size_) {
      return damage("bounds", page);
    }
    const size_t count = (header.lower - sizeof(PageHeader)) / sizeof(uint16_t);
    std::vector<Node> nodes;
    std::vector<std::pair<size_t, size_t>> extents;
    for (size_t i = 0; i < count; ++i) {
      const size_t offset = load<uint16_t>(bytes, sizeof(PageHeader) + i * sizeof(uint16_t));
      if (offset < upper || offset % 2 != 0 || offset + kNodeHeader > page_size_) {
        return damage("offset of a node", page);
      }
      Node node;
      const size_t size = read_node(bytes.subspan(offset), is_leaf, node);
      const bool may_lack_key = !is_leaf && i == 0;
      if (size == 0 || node.key.size() > kMaxKeySize || (node.key.empty() && !may_lack_key)) {
        return damage("a node", page);
      }
      extents.emplace_back(offset, (size + 1) & ~size_t{1});
      nodes.push_back(node);
    }
    // LMDB keeps nodes side by side, up to the end of the page.
    std::sort(extents.begin(), extents.end());
    size_t end = upper;
    for (const auto& [offset, size] : extents) {
      if (offset != end) {
        return damage("nodes overlap", page);
      }
      end += size;
    }
    if (end != page_size_) {
      return damage("nodes do not fill it", page);
    }
    return nodes;
  }

  // The bytes it takes; 0 where it does not fit.
  static size_t read_node(ByteSpan bytes, bool is_leaf, Node& node) {
    const uint64_t low = load<uint16_t>(bytes, 0) | (uint64_t{load<uint16_t>(bytes, 2)} << 16U);
    node.flags = load<uint16_t>(bytes, 4);
    const size_t key_size = load<uint16_t>(bytes, 6);
    if (key_size > bytes.size() - kNodeHeader) {
      return 0;
    }
    node.key = bytes.subspan(kNodeHeader, key_size);
    if (!is_leaf) {
      node.child = low | (uint64_t{node.flags} << 32U);
      return kNodeHeader + key_size;
    }
    node.value_size = low;
    const uint64_t inline_size = node.flags == kBigNode ? sizeof(uint64_t) : low;
    const ByteSpan rest = bytes.subspan(kNodeHeader + key_size);
    if (inline_size > rest.size()) {
      return 0;
    }
    node.value = rest.first(inline_size);
    return kNodeHeader + key_size + inline_size;
  }

  // Below 0: a before b.
  static int compare(Kind kind, ByteSpan a, ByteSpan b) {
    if (kind == Kind::free_pages && a.size() == sizeof(uint64_t) && b.size() == a.size()) {
      const auto left = load<uint64_t>(a, 0);
      const auto right = load<uint64_t>(b, 0);
      return left < right ? -1 : static_cast<int>(left > right);
    }
    const int order = std::memcmp(a.data(), b.data(), std::min(a.size(), b.size()));
    return order != 0 ? order : a.size() < b.size() ? -1 : static_cast<int>(a.size() > b.size());
  }

  static Status check_separator(Walk& walk, const Node& node, uint64_t page) {
    if (walk.has_last && compare(walk.kind, walk.last_key, node.key) >= 0) {
      return damage("order of keys", page);
    }
    walk.floor.assign(node.key.begin(), node.key.end());
    return {};
  }

  Status check_entry(Walk& walk, const Node& node, uint64_t page) {
    const bool above_floor = walk.floor.empty() || compare(walk.kind, node.key, walk.floor) >= 0;
    if (!above_floor || (walk.has_last && compare(walk.kind, walk.last_key, node.key) >= 0)) {
      return damage("order of keys", page);
    }
    walk.last_key.assign(node.key.begin(), node.key.end());
    walk.has_last = true;
    ++walk.seen.entries;
    const uint16_t expected = walk.kind == Kind::main ? kTreeNode : node.flags & kBigNode;
    if (node.flags != expected) {
      return damage("type of an entry", page);
    }
    ByteSpan value = node.value;
    Bytes big;
    if (node.flags == kBigNode) {
      CPAWAY_ASSIGN(big, check_big_value(walk, node, page));
      value = big;
    }
    if (walk.kind == Kind::main) {
      return add_table(value, page);
    }
    return walk.kind == Kind::free_pages ? add_free_pages(node.key, value, page) : Status();
  }

  // The content is read for the list of free pages alone.
  Result<Bytes> check_big_value(Walk& walk, const Node& node, uint64_t page) {
    const auto first = load<uint64_t>(node.value, 0);
    const uint64_t needed = (sizeof(PageHeader) - 1 + node.value_size) / page_size_ + 1;
    CPAWAY_TRY(use(first, 1));
    Bytes header_bytes(sizeof(PageHeader));
    CPAWAY_ASSIGN(const size_t size, pread_full(fd_, header_bytes, first * page_size_));
    const auto header = load<PageHeader>(header_bytes, 0);
    const auto pages = load<uint32_t>(header_bytes, offsetof(PageHeader, lower));
    if (size != sizeof(PageHeader) || header.number != first || header.flags != kOverflowPage ||
        pages < needed) {
      return damage("large value of this page", page);
    }
    if (pages > 1) {
      CPAWAY_TRY(use(first + 1, pages - 1));
    }
    walk.seen.overflow_pages += pages;
    if (walk.kind != Kind::free_pages) {
      return Bytes();
    }
    Bytes value(node.value_size);
    CPAWAY_ASSIGN(const size_t value_size,
                  pread_full(fd_, value, first * page_size_ + sizeof(PageHeader)));
    if (value_size != value.size()) {
      return damage("behind the end of the file", first);
    }
    return value;
  }

  Status add_table(ByteSpan value, uint64_t page) {
    if (value.size() != sizeof(Tree)) {
      return damage("a table", page);
    }
    tables_.push_back(load<Tree>(value, 0));
    return {};
  }

  // A count and as many page numbers, descending.
  Status add_free_pages(ByteSpan key, ByteSpan value, uint64_t page) {
    if (key.size() != sizeof(uint64_t) || load<uint64_t>(key, 0) > txn_id_ ||
        value.size() < sizeof(uint64_t)) {
      return damage("list of free pages", page);
    }
    const auto count = load<uint64_t>(value, 0);
    if (count > value.size() / sizeof(uint64_t) - 1) {
      return damage("list of free pages", page);
    }
    uint64_t previous = kNoPage;
    for (uint64_t i = 1; i <= count; ++i) {
      const auto number = load<uint64_t>(value, i * sizeof(uint64_t));
      if (number < kMetaCount || number >= free_.size() || number >= previous || free_[number]) {
        return damage("list of free pages", page);
      }
      free_[number] = true;
      previous = number;
    }
    return {};
  }

  Status check_free_pages() const {
    for (uint64_t page = 0; page < std::min(used_.size(), free_.size()); ++page) {
      if (used_[page] && free_[page]) {
        return damage("free and used", page);
      }
    }
    return {};
  }

  const int fd_;
  const size_t page_size_;
  const uint64_t file_pages_;
  uint64_t last_page_ = 0;
  uint64_t txn_id_ = 0;
  std::vector<bool> used_;
  std::vector<bool> free_;
  std::vector<Tree> tables_;
};

}  // namespace

Status check_env_file(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ENOENT) {
    return {};
  }
  struct stat info;
  if (!fd || fstat(fd.get(), &info) != 0) {
    return fail_os(errno, path);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(Errc::verify, concat(path, ": not a file"));
  }
  const bool known_layout = sizeof(size_t) == 8 && std::endian::native == std::endian::little;
  if (info.st_size == 0 || !known_layout) {
    return {};
  }
  if (const auto checked = Checker(fd.get(), static_cast<uint64_t>(info.st_size)).run(); !checked) {
    return fail(with_context(checked.error(), path));
  }
  return {};
}

}  // namespace cpaway::cache
