#include "tests/engine/wire/samples.h"

#include <type_traits>

#include "engine/base/strings.h"
#include "engine/wire/lock_message.h"

namespace cpaway::testing {
namespace {

using namespace wire;

Bytes flat(const Frame& frame) {
  Bytes bytes = frame.head;
  if (frame.bulk) {
    bytes.insert(bytes.end(), frame.bulk->begin(), frame.bulk->end());
  }
  return bytes;
}

// Visits a message's fields and writes a line for each: its bytes, then what they mean.
class LinePrinter {
 public:
  template <class... Fields>
  void operator()(const Fields&... fields) {
    (print(fields), ...);
  }
  std::string text;

  void line(ByteSpan bytes, std::string_view meaning) {
    text += concat(hash::to_hex(bytes), "  # ", meaning, "\n");
  }

 private:
  template <class T>
  static Bytes encoded(const T& field) {
    Bytes bytes;
    Encoder encoder(bytes);
    encoder(field);
    return bytes;
  }
  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void print(T value) {
    if constexpr (std::is_same_v<T, bool>) {
      line(encoded(value), value ? "bool true" : "bool false");
    } else {
      const char* sign = std::is_signed_v<T> ? "i" : "u";
      line(encoded(value), concat(sign, sizeof(T) * 8, " ", value));
    }
  }
  void print(const std::string& value) { line(encoded(value), concat("string ", value)); }
  void print(const Bytes& value) { line(encoded(value), concat("bytes, ", value.size())); }
  template <size_t N>
  void print(const std::array<uint8_t, N>& value) {
    line(encoded(value), concat("array of ", N));
  }
  template <class T>
  void print(const std::vector<T>& items) {
    line(encoded(static_cast<uint32_t>(items.size())), "items");
    for (const T& item : items) {
      print(item);
    }
  }
  template <class T>
  void print(const std::optional<T>& item) {
    line(encoded(static_cast<uint8_t>(item ? 1 : 0)), item ? "present" : "absent");
    if (item) {
      print(*item);
    }
  }
  template <Struct T>
  void print(const T& item) {
    item.visit(*this);
  }
};

template <class Message>
std::string describe(const Frame& frame, const Message& message, bool is_reply) {
  LinePrinter printer;
  const ByteSpan head(frame.head);
  printer.line(head.first(4), "payload size");
  printer.line(head.subspan(4, 1), op_name(static_cast<Op>(head[4])));
  printer.line(head.subspan(5, 4), "request id");
  if (is_reply) {
    printer.line(head.subspan(9, 2), "status: good");
  }
  message.visit(printer);
  if (frame.bulk) {
    printer.line(*frame.bulk, "bulk");
  }
  return printer.text;
}

class Collector {
 public:
  template <class Request>
  void request(const Request& request, SharedBytes bulk = nullptr) {
    const Frame frame = pack(kId, request, bulk);
    add<Request>(Request::kOp, false, frame, request, [](const Incoming& in, ByteSpan body) {
      return open<Request>(in, body, [](const Request& message, SharedBytes rest) {
        return pack(kId, message, std::move(rest));
      });
    });
  }
  template <class Answer>
  void answer(Op op, const Answer& answer, SharedBytes bulk = nullptr) {
    const Frame frame = pack_answer(kId, answer, bulk);
    add<Answer>(op, true, frame, answer, [](const Incoming& in, ByteSpan body) -> Result<Bytes> {
      CPAWAY_ASSIGN(body, open_reply(body));
      return open<Answer>(in, body, [](const Answer& message, SharedBytes rest) {
        return pack_answer(kId, message, std::move(rest));
      });
    });
  }
  void ack(const Block::Answer& answer) {
    const Frame frame = pack_as(Op::ack, kId, answer);
    add<Block::Answer>(Op::ack, true, frame, answer, [](const Incoming& in, ByteSpan body) {
      return open<Block::Answer>(in, body, [](const Block::Answer& message, SharedBytes /*rest*/) {
        return pack_as(Op::ack, kId, message);
      });
    });
  }
  std::vector<Sample> samples;

 private:
  static constexpr uint32_t kId = 0x01020304;

  template <class Message, class Pack>
  static Result<Bytes> open(const Incoming& /*in*/, ByteSpan body, Pack pack_again) {
    ByteSpan rest;
    CPAWAY_ASSIGN(const Message message, unpack<Message>(body, &rest));
    SharedBytes bulk;
    if (!rest.empty()) {
      bulk = std::make_shared<const Bytes>(rest.begin(), rest.end());
    }
    return flat(pack_again(message, std::move(bulk)));
  }
  template <class Message, class Repack>
  void add(Op op, bool is_answer, const Frame& frame, const Message& message, Repack repack) {
    const bool is_reply = frame.head[4] == static_cast<uint8_t>(Op::reply);
    samples.push_back({std::string(op_name(op)), is_answer, flat(frame),
                       describe(frame, message, is_reply),
                       [repack](const Incoming& in) { return repack(in, in.body()); }});
  }
};

SharedBytes bulk_of(std::string_view text) {
  return std::make_shared<const Bytes>(text.begin(), text.end());
}

template <size_t N>
std::array<uint8_t, N> counting(uint8_t first) {
  std::array<uint8_t, N> bytes{};
  for (size_t i = 0; i < N; ++i) {
    bytes[i] = static_cast<uint8_t>(first + i);
  }
  return bytes;
}

Attr some_attr() {
  Attr attr;
  attr.dev = 0xfd01;
  attr.ino = 1234567890123;
  attr.btime = {1500000000, 5};
  attr.mode = 0100644;
  attr.nlink = 2;
  attr.uid = 1000;
  attr.gid = 100;
  attr.rdev = 0x103;
  attr.size = 5'000'000'000;
  attr.blocks = 9765632;
  attr.atime = {1700000001, 1};
  attr.mtime = {-1700000002, 999'999'999};
  attr.ctime = {1700000003, 3};
  attr.access = kMayRead | kReadOnlyFilesystem;
  return attr;
}

SetAttr some_changes() {
  SetAttr attr;
  attr.mode = 0600;
  attr.uid = 1000;
  attr.size = 77;
  attr.mtime = Time{-1, 500};
  attr.atime_now = true;
  return attr;
}

Placement some_placement() {
  Placement placement;
  placement.path = "dir/new";
  placement.exclusive = true;
  placement.join = kJoinAppend;
  placement.fresh = true;
  placement.create_mode = 0640;
  placement.attr = some_changes();
  placement.attr.size.reset();
  placement.xattrs = {{"user.a", {1, 2, 3}}, {"user.b", {}}};
  placement.dropped = {"user.c"};
  placement.handle = 9;
  return placement;
}

void add_connection(Collector& out) {
  Hello hello;
  hello.features = 0x8000000000000001;
  hello.directory = "backup";
  hello.sync_commit = true;
  out.request(hello);
  out.answer(
      Op::hello,
      Hello::Answer{1, 0, "0.1.0", "/home/u/backup", 1000, 100, some_attr(), {1700000004, 4}});
  out.request(Ping{});
  out.answer(Op::ping, Ping::Answer{{1700000004, 4}});
}

void add_transfers(Collector& out) {
  const auto block_hash = counting<16>(0x10);
  const auto digest = counting<32>(0x80);
  const CommitAnswer committed{some_attr(), digest, {1700000004, 4}, true};
  out.request(Init{7, "dir/new", ".cpaway-0123456789abcdef.part"});
  out.answer(Op::init, Init::Answer{".cpaway-0123456789abcdef.part", 1ULL << 33U});
  out.request(TransferStatus{7});
  out.answer(Op::status, TransferStatus::Answer{"dir/new", 4000, 3000, 5000, 2000});
  out.request(Cancel{7, true});
  out.answer(Op::cancel, Empty{});
  out.request(Block{7, 1ULL << 40U, block_hash}, bulk_of("block content"));
  out.ack(Block::Answer{1ULL << 40U, 13, block_hash});
  out.request(Commit{7, 5'000'000'000, digest, true, some_placement()});
  out.answer(Op::commit, committed);
  out.request(PutFile{digest, true, some_placement()}, bulk_of("small file"));
  out.answer(Op::put_file, committed);
  out.request(TruncateTransfer{7, 4096});
  out.answer(Op::truncate_transfer, Empty{});
  out.request(ReadTransfer{7, 8192, 100});
  out.answer(Op::read_transfer, Empty{}, bulk_of("staged bytes"));
  out.request(AddBasis{7, 1, "dir/old"});
  out.answer(Op::basis, some_attr());
  out.request(ListChunks{7, 1, 1ULL << 33U, ListChunks::kMaxSize, 4096, 8192, 65536});
  out.answer(Op::chunks, Empty{}, bulk_of("packed list"));
  out.request(DeltaBlock{7, 1ULL << 40U, 30, block_hash, kZstd, {{1, 23, 4096}, {kLiteral, 7, 0}}},
              bulk_of("literal"));
  out.request(Collect{"dir", 604800, true});
  out.answer(Op::collect, Collect::Answer{2, 5'000'000'000, 1});
  out.request(SeekTransfer{7, 1ULL << 33U, true});
  out.answer(Op::seek_transfer, SeekTransfer::Answer{1ULL << 34U});
  out.request(AllocateTransfer{7, kZeroRange, 1ULL << 33U, 4096});
  out.answer(Op::allocate_transfer, Empty{});
  out.request(CopyTransfer{7, 1ULL << 33U, 9, 4096, kMaxCopySize});
  out.answer(Op::copy_transfer, CopyAnswer{77});
  out.request(TryXattr{7, {"user.a", {1, 2, 3}}, true});
  out.answer(Op::try_xattr, Empty{});
  out.request(TryGroup{7, 100});
  out.answer(Op::try_group, Empty{});
  out.request(HideTransfer{7});
  out.answer(Op::hide_transfer, Empty{});
}

void add_names(Collector& out) {
  const Target by_path{0, "dir/f"};
  out.request(GetAttr{by_path});
  out.answer(Op::getattr, some_attr());
  out.request(SetAttrRequest{{9, ""}, some_changes()});
  out.answer(Op::setattr, some_attr());
  out.request(ReadLink{"link"});
  out.answer(Op::readlink, ReadLink::Answer{"../target"});
  out.request(MkNod{"fifo", 010644, 0x103, Owner{1000, 100}, 022});
  out.answer(Op::mknod, some_attr());
  out.request(MkDir{"dir", 0755});
  out.answer(Op::mkdir, some_attr());
  out.request(Unlink{"f"});
  out.answer(Op::unlink, Empty{});
  out.request(RmDir{"dir"});
  out.answer(Op::rmdir, Empty{});
  out.request(SymLink{"../target", "link"});
  out.answer(Op::symlink, some_attr());
  out.request(Rename{"a", "b", 1});
  out.answer(Op::rename, Empty{});
  out.request(Link{by_path, "second"});
  out.answer(Op::link, some_attr());
  out.request(StatFs{"dir"});
  out.answer(Op::statfs, StatFs::Answer{1, 2, 3, 4, 5, 6, 7, 255});
}

void add_files(Collector& out) {
  const Target by_handle{9, ""};
  const auto block_hash = counting<16>(0x20);
  out.request(Open{9, "dir/f", kOpenWrite | kOpenCreate, 0644});
  out.answer(Op::open, some_attr());
  out.request(Close{9});
  out.answer(Op::close, Empty{});
  out.request(Read{9, 1ULL << 33U, kBlockSize});
  out.answer(Op::read, Empty{}, bulk_of("bytes read"));
  out.request(Write{9, 1ULL << 33U, block_hash}, bulk_of("bytes written"));
  out.answer(Op::write, Write::Answer{block_hash});
  out.request(Append{9, 1ULL << 33U, block_hash, true}, bulk_of("bytes written"));
  out.answer(Op::append, Append::Answer{block_hash, 1ULL << 34U});
  out.request(FSync{by_handle, true});
  out.answer(Op::fsync, Empty{});
  out.request(ReadDir{9, true});
  out.answer(Op::readdir, ReadDir::Answer{true, {{"f", some_attr()}, {"sub", Attr{}}}});
  out.request(Digest{by_handle});
  out.answer(Op::digest, Digest::Answer{5'000'000'000, counting<32>(0x80)});
  out.request(Compare{9, 1ULL << 33U, {{block_hash, 4096}, {block_hash, 77}}});
  out.answer(Op::compare, Compare::Answer{{1, 0}});
  out.request(Seek{9, 1ULL << 33U, false});
  out.answer(Op::seek, SeekTransfer::Answer{1ULL << 34U});
  out.request(Allocate{9, kKeepSize | kPunchHole, 1ULL << 33U, 4096});
  out.answer(Op::allocate, Empty{});
  out.request(Copy{9, 1ULL << 33U, 8, 4096, kMaxCopySize});
  out.answer(Op::copy, CopyAnswer{77});
}

void add_locks(Collector& out) {
  out.request(OpenLock{9, {5, ""}, kFlock});
  out.answer(Op::open_lock, OpenLock::Answer{"cpaway-agent-0123456789abcdef0123456789abcdef"});
  out.request(Lock{9, 3, kWriteLock, 1ULL << 30U, (1ULL << 30U) + 509, true});
  out.answer(Op::lock, Lock::Answer{some_attr(), {1700000004, 4}});
  out.request(TestLock{9, kReadLock, 0, kLockEnd});
  out.answer(Op::test_lock, TestLock::Answer{kWriteLock, 100, 199});
  out.request(CancelLock{9, 3});
  out.answer(Op::cancel_lock, Empty{});
  out.request(TakeOver{"cpaway-agent-0123456789abcdef0123456789abcdef"});
  out.answer(Op::take_over, Empty{});
}

void add_xattrs(Collector& out) {
  const Target by_path{0, "dir/f"};
  out.request(GetXattr{by_path, "user.a"});
  out.answer(Op::getxattr, GetXattr::Answer{{1, 2, 3}});
  out.request(ListXattr{by_path});
  out.answer(Op::listxattr, ListXattr::Answer{{'u', 's', 'e', 'r', '.', 'a', 0}});
  out.request(SetXattr{by_path, {"user.a", {1, 2, 3}}, 2});
  out.answer(Op::setxattr, Empty{});
  out.request(RemoveXattr{by_path, "user.a"});
  out.answer(Op::removexattr, Empty{});
  out.request(GetFlags{by_path});
  out.answer(Op::getflags, GetFlags::Answer{0x80010, 8, 4096, 3, 7, 0});
  out.request(SetFlags{by_path, 0x80010});
  out.answer(Op::setflags, Empty{});
}

}  // namespace

std::vector<Sample> all_samples() {
  Collector out;
  add_connection(out);
  add_transfers(out);
  add_names(out);
  add_files(out);
  add_locks(out);
  add_xattrs(out);
  return std::move(out.samples);
}

}  // namespace cpaway::testing
