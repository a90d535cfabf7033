// One end of the emulated link: a network namespace that holds loopback and one tun device.
#pragma once

#include <string>

#include "engine/base/fd.h"

namespace cpaway::testing {

struct LinkEnd {
  UniqueFd net_namespace;
  UniqueFd tun;  // non-blocking; gives and takes frames as tun_frame.h says
};

// Makes the namespace, in which this thread stays, with `address` (of a /24) on the device.
//
// The namespace has the kernel's defaults for TCP and not the machine's, so that figures can be
// compared; and TCP remembers nothing there from one connection to the next. Needs root.
[[nodiscard]] Result<LinkEnd> make_link_end(const std::string& address, int mtu);

}  // namespace cpaway::testing
