#include "engine/transport/known_hosts.h"

#include <gtest/gtest.h>

#include <string>

namespace cpaway::transport {
namespace {

TEST(HostMatches, FollowsPatterns) {
  EXPECT_TRUE(host_matches("host", "host"));
  EXPECT_TRUE(host_matches("HOST", "host"));
  EXPECT_FALSE(host_matches("host", "hosts"));
  EXPECT_TRUE(host_matches("a,*.example.org", "b.example.org"));
  EXPECT_FALSE(host_matches("*.example.org,!b.*", "b.example.org"));
  EXPECT_FALSE(host_matches("!b.*", "c"));
  EXPECT_TRUE(host_matches("10.0.0.?", "10.0.0.7"));
  EXPECT_TRUE(host_matches("[host]:2222", "[host]:2222"));
  EXPECT_TRUE(host_matches("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(host_matches("", "host"));
  EXPECT_FALSE(host_matches(std::string(1000, '*') + "b", std::string(1000, 'a')));
}

TEST(HostMark, ReadsMarkerLinesOnly) {
  const std::string text =
      "# @revoked host ssh-ed25519 KEY\n"
      "host ssh-ed25519 KEY\n"
      "@revoked  host\tssh-ed25519 BAD comment\r\n"
      "@cert-authority *.example.org ssh-ed25519 CA\n";
  EXPECT_EQ(host_mark(text, "host", "KEY"), HostMark::none);
  EXPECT_EQ(host_mark(text, "host", "BAD"), HostMark::revoked);
  EXPECT_EQ(host_mark(text, "other", "BAD"), HostMark::none);
  EXPECT_EQ(host_mark(text, "a.example.org", "KEY"), HostMark::cert_authority);
}

TEST(HostMark, RevokedKeyCountsForHashedNames) {
  EXPECT_EQ(host_mark("@revoked |1|salt|hash ssh-ed25519 BAD", "host", "BAD"), HostMark::revoked);
  EXPECT_EQ(host_mark("@cert-authority |1|salt|hash ssh-ed25519 CA", "host", "KEY"),
            HostMark::none);
}

TEST(HostMark, RevokedWinsOverAuthority) {
  EXPECT_EQ(
      host_mark("@cert-authority * t CA\n@revoked * t BAD\n@cert-authority * t X", "h", "BAD"),
      HostMark::revoked);
}

}  // namespace
}  // namespace cpaway::transport
