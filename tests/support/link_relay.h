// An emulated network link: frames between two packet descriptors, with rate, delay and loss.
//
// Why: tests and measurements need a link that is slow, far and bad, and always in the same way,
// and netem is missing from many kernels. Each direction is a queue before the wire (tail drop, as
// a router has it), the wire (the time to send all bits), and the way (delay). All of it is done by
// segments of the wire, though frames hold many (tun_frame.h). Time is given by the caller and loss
// comes from a seed, so tests need neither sleep nor luck. One thread.
//
// The rate is that of IP packets; what Ethernet would add to each is not counted.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/result.h"

namespace cpaway::testing {

struct LinkShape {
  uint64_t bits_per_s = 0;   // 0: no limit
  int64_t delay_ns = 0;      // one way
  double loss = 0;           // probability that a packet is lost, each direction
  uint64_t queue_bytes = 0;  // 0: the bandwidth-delay product and 100 packets more

  [[nodiscard]] uint64_t effective_queue_bytes() const;
};

// One `key=value` as a person writes it: rate=100M (bit/s), delay=10 (ms), loss=0.01, queue=64K.
[[nodiscard]] Status set_shape(LinkShape& shape, std::string_view key, std::string_view value);

// What one direction has carried, as IP packets on the wire. Lost packets count as carried, too;
// those that found the queue full or fell into an outage only as dropped.
struct LinkCounters {
  uint64_t bytes = 0;
  uint64_t packets = 0;
  uint64_t dropped = 0;
};

// One direction, without descriptors.
class LinkQueue {
 public:
  explicit LinkQueue(uint64_t seed) : random_(seed) {}

  void push(ByteSpan frame, const LinkShape& shape, int64_t now_ns);
  // When the next frame arrives; nullopt where none is on its way.
  [[nodiscard]] std::optional<int64_t> next_due_ns() const;
  // Takes the next frame, which there must be.
  [[nodiscard]] Bytes pop();
  // Loses all that is on its way.
  void clear();
  void count_drops(size_t packets) { counters_.dropped += packets; }
  [[nodiscard]] const LinkCounters& counters() const { return counters_; }
  void reset_counters() { counters_ = {}; }

 private:
  struct Held {
    int64_t due_ns;
    size_t segments;
    Bytes frame;
  };
  // Takes the wire's time for a packet of this size. When its last bit is sent; nullopt where it
  // is dropped or lost.
  std::optional<int64_t> send_packet(size_t bytes, const LinkShape& shape, int64_t now_ns);
  void hold(Bytes frame, size_t segments, int64_t due_ns);

  std::mt19937_64 random_;
  std::deque<Held> held_;
  uint64_t held_bytes_ = 0;
  int64_t wire_free_ns_ = 0;  // when the wire has sent all that waits for it
  LinkCounters counters_;
};

// Both directions, between two non-blocking descriptors that give and take whole frames.
class LinkRelay {
 public:
  struct Stats {
    LinkCounters up;    // from the near end to the far one
    LinkCounters down;  // the other way
  };

  // The descriptors must outlive it.
  LinkRelay(int near_fd, int far_fd, const LinkShape& shape, uint64_t seed);

  // Takes what the ends have sent, and hands over what is due. Call it when a descriptor can be
  // read and at next_due_ns().
  void pump(int64_t now_ns);
  [[nodiscard]] std::optional<int64_t> next_due_ns() const;

  [[nodiscard]] const LinkShape& shape() const { return shape_; }
  // Holds for what is sent from now on.
  void set_shape(const LinkShape& shape) { shape_ = shape; }
  // While it is on, all is lost, also what was on its way.
  void set_outage(bool on);
  [[nodiscard]] Stats stats() const { return {up_.counters(), down_.counters()}; }
  void reset_stats();

 private:
  void take_frames(int fd, LinkQueue& into, int64_t now_ns);
  static void hand_over(LinkQueue& from, int fd, int64_t now_ns);

  int near_fd_;
  int far_fd_;
  LinkShape shape_;
  bool outage_ = false;
  LinkQueue up_;
  LinkQueue down_;
  Bytes buffer_;
};

}  // namespace cpaway::testing
