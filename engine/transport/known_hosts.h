// The lines of known_hosts that libssh skips: @revoked and @cert-authority.
#pragma once

#include <string>
#include <string_view>

namespace cpaway::transport {

enum class HostMark { none, revoked, cert_authority };

// What the marker lines of `text` (a known_hosts file) say about a key. `name` is the host as
// known_hosts writes it: "host", or "[host]:port" for a port other than 22. `key` is its base64.
// A revoked key counts for hashed names whatever they are; ssh-keygen never hashes marker lines.
[[nodiscard]] HostMark host_mark(std::string_view text, std::string_view name,
                                 std::string_view key);

// ssh's pattern list: "*.example.org,!bad.example.org", with * and ?.
[[nodiscard]] bool host_matches(std::string_view patterns, std::string_view name);

}  // namespace cpaway::transport
