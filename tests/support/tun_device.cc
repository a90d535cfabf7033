#include "tests/support/tun_device.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "engine/base/strings.h"
#include "tests/support/net_namespace.h"

namespace cpaway::testing {
namespace {

constexpr std::string_view kDevice = "link0";
constexpr int kDeviceQueuePackets = 10'000;  // the only queue that may be full is the relay's

struct Sysctl {
  const char* name;
  std::string_view value;
  bool required;  // else the kernel may lack it, or may not allow it in a namespace
};

constexpr std::array kSysctls = {
    Sysctl{"ipv6/conf/default/disable_ipv6", "1", false},
    Sysctl{"ipv4/tcp_no_metrics_save", "1", true},
    Sysctl{"ipv4/tcp_congestion_control", "cubic", false},
    Sysctl{"ipv4/tcp_rmem", "4096 131072 6291456", true},
    Sysctl{"ipv4/tcp_wmem", "4096 16384 4194304", true},
};

Status set_sysctls() {
  for (const Sysctl& sysctl : kSysctls) {
    const std::string path = concat("/proc/sys/net/", sysctl.name);
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    const Status written = fd ? write_full(fd.get(), as_bytes(sysctl.value)) : fail_os(errno, path);
    if (!written && sysctl.required) {
      return fail(with_context(written.error(), path));
    }
  }
  return {};
}

ifreq request_for(std::string_view device) {
  ifreq request = {};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

void put_address(sockaddr& into, in_addr_t address) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = address;
  std::memcpy(&into, &in, sizeof in);
}

Status bring_up(int socket_fd, std::string_view device) {
  ifreq request = request_for(device);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(socket_fd, SIOCSIFFLAGS, &request) != 0) {
    return fail_os(errno, concat("bringing up ", device));
  }
  return {};
}

// Checksums and segmentation are left to the device: nobody needs them on this wire.
Result<UniqueFd> open_tun() {
  UniqueFd tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  ifreq request = request_for(kDevice);
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (!tun || ioctl(tun.get(), TUNSETIFF, &request) != 0 ||
      ioctl(tun.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) {
    return fail_os(errno, "/dev/net/tun");
  }
  return tun;
}

Status configure(const std::string& address, int mtu) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(kDevice);
  request.ifr_mtu = mtu;
  if (ioctl(fd.get(), SIOCSIFMTU, &request) != 0) {
    return fail_os(errno, concat("mtu ", mtu));
  }
  request.ifr_qlen = kDeviceQueuePackets;
  if (ioctl(fd.get(), SIOCSIFTXQLEN, &request) != 0) {
    return fail_os(errno, "length of the device's queue");
  }
  put_address(request.ifr_addr, inet_addr(address.c_str()));
  if (ioctl(fd.get(), SIOCSIFADDR, &request) != 0) {
    return fail_os(errno, concat("address ", address));
  }
  put_address(request.ifr_netmask, htonl(0xffffff00U));
  if (ioctl(fd.get(), SIOCSIFNETMASK, &request) != 0) {
    return fail_os(errno, concat("netmask of ", address));
  }
  CPAWAY_TRY(bring_up(fd.get(), "lo"));
  return bring_up(fd.get(), kDevice);
}

}  // namespace

Result<LinkEnd> make_link_end(const std::string& address, int mtu) {
  LinkEnd end;
  CPAWAY_ASSIGN(end.net_namespace, enter_new_net_namespace());
  CPAWAY_TRY(set_sysctls());
  CPAWAY_ASSIGN(end.tun, open_tun());
  CPAWAY_TRY(configure(address, mtu));
  return end;
}

}  // namespace cpaway::testing
