// A slow, far, lossy link for one test: runs cpaway-link, which describes it, and commands it.
//
// What is to be at its far end runs in far_namespace() (TestSshd::Options::network), what is to be
// here in near_namespace(). One thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/transport/child_stream.h"
#include "tests/support/link_relay.h"

namespace cpaway::testing {

class EmulatedLink {
 public:
  // True where this process may make one (root, tun devices); tests skip otherwise.
  [[nodiscard]] static bool available();

  // Options as cpaway-link takes them: {"--rate", "100M", "--delay", "10"}. Aborts where the link
  // does not come up.
  explicit EmulatedLink(const std::vector<std::string>& options);

  // As NetNamespaceScope and nsenter --net=PATH take them.
  [[nodiscard]] const std::string& near_namespace() const { return near_namespace_; }
  [[nodiscard]] const std::string& far_namespace() const { return far_namespace_; }
  [[nodiscard]] const std::string& near_address() const { return near_address_; }
  [[nodiscard]] const std::string& far_address() const { return far_address_; }
  // The command that runs `argv` at the near end.
  [[nodiscard]] std::vector<std::string> near_command(std::vector<std::string> argv) const;

  [[nodiscard]] LinkRelay::Stats stats();
  void reset_stats();
  // "rate=1M loss=0.01": for what is sent from now on.
  void set(const std::string& words);
  void set_outage(bool on);

 private:
  std::string read_line();
  std::string ask(const std::string& command);

  std::unique_ptr<transport::ChildStream> program_;
  std::string read_;  // what has come after the last line
  std::string near_namespace_;
  std::string far_namespace_;
  std::string near_address_;
  std::string far_address_;
};

}  // namespace cpaway::testing
