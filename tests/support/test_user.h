// The users that tests log in as. They are made once and left, since several test programs use
// them at the same time. Needs root.
#pragma once

#include <string>

namespace cpaway::testing {

inline constexpr const char* kTestUser = "cpawaytest";       // logs in by key only
inline constexpr const char* kPasswordUser = "cpawaytest2";  // has a password
inline constexpr const char* kTestPassword = "correct horse";

struct TestUser {
  std::string name;
  unsigned uid = 0;
  unsigned gid = 0;
  std::string home;
};

// Creates the user where missing: /bin/sh, a home of its own, and the password for kPasswordUser.
[[nodiscard]] TestUser test_user(const std::string& name);

}  // namespace cpaway::testing
