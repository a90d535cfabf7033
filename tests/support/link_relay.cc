#include "tests/support/link_relay.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "tests/support/tun_frame.h"

namespace cpaway::testing {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr double kNsPerMs = 1e6;
constexpr uint64_t kQueuedPackets = 100;
constexpr uint64_t kPacketBytes = 1500;
constexpr uint64_t kMaxHeldBytes = 256UL << 20U;  // where no rate bounds what is on its way
// Frames are cut to pieces that take no longer than this on the wire, so that on a slow link
// packets arrive one by one and not in bursts.
constexpr int64_t kMaxPieceNs = 1'000'000;
constexpr int kFramesAtOnce = 64;  // else what is due would wait

int64_t wire_time_ns(uint64_t bytes, const LinkShape& shape) {
  if (shape.bits_per_s == 0) {
    return 0;
  }
  return static_cast<int64_t>(static_cast<double>(bytes) * 8 * kNsPerSecond /
                              static_cast<double>(shape.bits_per_s));
}

Result<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !(value >= 0)) {
    return fail(Errc::invalid, concat("not a number: ", text));
  }
  return value;
}

// 100M: K, M and G are powers of `kilo`.
Result<uint64_t> parse_scaled(std::string_view text, double kilo) {
  double factor = 1;
  const size_t power = text.empty() ? 0 : std::string_view("KMG").find(text.back()) + 1;
  if (power != 0) {
    text.remove_suffix(1);
  }
  for (size_t i = 0; i < power; ++i) {
    factor *= kilo;
  }
  CPAWAY_ASSIGN(const double value, parse_number(text));
  if (value * factor > 1e15) {
    return fail(Errc::invalid, concat("too big: ", text));
  }
  return static_cast<uint64_t>(value * factor);
}

}  // namespace

uint64_t LinkShape::effective_queue_bytes() const {
  if (queue_bytes != 0) {
    return queue_bytes;
  }
  const double round_trip_s = 2 * static_cast<double>(delay_ns) / kNsPerSecond;
  const double product = static_cast<double>(bits_per_s) / 8 * round_trip_s;
  return static_cast<uint64_t>(product) + kQueuedPackets * kPacketBytes;
}

Status set_shape(LinkShape& shape, std::string_view key, std::string_view value) {
  if (key == "rate") {
    CPAWAY_ASSIGN(shape.bits_per_s, parse_scaled(value, 1000));
  } else if (key == "queue") {
    CPAWAY_ASSIGN(shape.queue_bytes, parse_scaled(value, 1024));
  } else if (key == "delay") {
    CPAWAY_ASSIGN(const double delay_ms, parse_number(value));
    shape.delay_ns = static_cast<int64_t>(std::min(delay_ms, 1e6) * kNsPerMs);
  } else if (key == "loss") {
    CPAWAY_ASSIGN(const double loss, parse_number(value));
    if (loss > 1) {
      return fail(Errc::invalid, concat("loss is a probability, not ", value));
    }
    shape.loss = loss;
  } else {
    return fail(Errc::invalid, concat("no such setting: ", key));
  }
  return {};
}

void LinkQueue::push(ByteSpan frame, const LinkShape& shape, int64_t now_ns) {
  const FrameLayout layout = layout_of(frame);
  size_t first = 0;  // of the piece that is being put together
  size_t count = 0;
  int64_t piece_ns = 0;
  int64_t sent_ns = 0;
  const auto end_piece = [&] {
    if (count > 0) {
      hold(cut_segments(frame, layout, first, count), count, sent_ns + shape.delay_ns);
    }
    count = 0;
    piece_ns = 0;
  };
  for (size_t segment = 0; segment < layout.segments; ++segment) {
    const size_t bytes = layout.wire_bytes(segment);
    const auto sent = send_packet(bytes, shape, now_ns);
    const int64_t time_ns = wire_time_ns(bytes, shape);
    if (!sent || piece_ns + time_ns > kMaxPieceNs) {
      end_piece();
    }
    if (sent) {
      first = count == 0 ? segment : first;
      ++count;
      piece_ns += time_ns;
      sent_ns = *sent;
    }
  }
  end_piece();
}

std::optional<int64_t> LinkQueue::send_packet(size_t bytes, const LinkShape& shape,
                                              int64_t now_ns) {
  const int64_t start_ns = std::max(wire_free_ns_, now_ns);
  const int64_t sent_ns = start_ns + wire_time_ns(bytes, shape);
  const bool full = shape.bits_per_s != 0 &&
                    sent_ns - now_ns > wire_time_ns(shape.effective_queue_bytes(), shape);
  if (full || held_bytes_ > kMaxHeldBytes) {
    ++counters_.dropped;
    return std::nullopt;
  }
  wire_free_ns_ = sent_ns;
  counters_.bytes += bytes;
  ++counters_.packets;
  if (shape.loss > 0 && std::uniform_real_distribution<>(0, 1)(random_) < shape.loss) {
    ++counters_.dropped;
    return std::nullopt;
  }
  return sent_ns;
}

void LinkQueue::hold(Bytes frame, size_t segments, int64_t due_ns) {
  if (!held_.empty()) {
    due_ns = std::max(due_ns, held_.back().due_ns);  // the delay may have been made smaller
  }
  held_bytes_ += frame.size();
  held_.push_back({due_ns, segments, std::move(frame)});
}

std::optional<int64_t> LinkQueue::next_due_ns() const {
  if (held_.empty()) {
    return std::nullopt;
  }
  return held_.front().due_ns;
}

Bytes LinkQueue::pop() {
  CHECK(!held_.empty());
  Bytes frame = std::move(held_.front().frame);
  held_.pop_front();
  held_bytes_ -= frame.size();
  return frame;
}

void LinkQueue::clear() {
  for (const Held& held : held_) {
    counters_.dropped += held.segments;
  }
  held_.clear();
  held_bytes_ = 0;
  wire_free_ns_ = 0;
}

LinkRelay::LinkRelay(int near_fd, int far_fd, const LinkShape& shape, uint64_t seed)
    : near_fd_(near_fd),
      far_fd_(far_fd),
      shape_(shape),
      up_(2 * seed),
      down_(2 * seed + 1),
      buffer_(kMaxFrameBytes) {}

void LinkRelay::pump(int64_t now_ns) {
  take_frames(near_fd_, up_, now_ns);
  take_frames(far_fd_, down_, now_ns);
  hand_over(up_, far_fd_, now_ns);
  hand_over(down_, near_fd_, now_ns);
}

std::optional<int64_t> LinkRelay::next_due_ns() const {
  const auto up_ns = up_.next_due_ns();
  const auto down_ns = down_.next_due_ns();
  return up_ns && down_ns ? std::min(up_ns, down_ns) : (up_ns ? up_ns : down_ns);
}

void LinkRelay::set_outage(bool on) {
  outage_ = on;
  if (on) {
    up_.clear();
    down_.clear();
  }
}

void LinkRelay::reset_stats() {
  up_.reset_counters();
  down_.reset_counters();
}

void LinkRelay::take_frames(int fd, LinkQueue& into, int64_t now_ns) {
  for (int i = 0; i < kFramesAtOnce; ++i) {
    const ssize_t count = read(fd, buffer_.data(), buffer_.size());
    if (count <= 0) {
      return;
    }
    const ByteSpan frame = ByteSpan(buffer_).first(static_cast<size_t>(count));
    if (frame.size() <= kVnetHeaderBytes) {
      continue;
    }
    if (outage_) {
      into.count_drops(layout_of(frame).segments);
    } else {
      into.push(frame, shape_, now_ns);
    }
  }
}

void LinkRelay::hand_over(LinkQueue& from, int fd, int64_t now_ns) {
  while (true) {
    const auto due_ns = from.next_due_ns();
    if (!due_ns || *due_ns > now_ns) {
      return;
    }
    const Bytes frame = from.pop();
    if (write(fd, frame.data(), frame.size()) < 0) {
      from.count_drops(1);  // the receiver has no room, or does not listen any more
    }
  }
}

}  // namespace cpaway::testing
