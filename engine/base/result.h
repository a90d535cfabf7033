// Result<T>: a value or an Error, which must be looked at.
//
// A thin layer over tl::expected that adds what it lacks: the class is must-use, so that a dropped
// result is a warning and with it an error. Dropping on purpose is `ignore(result, "reason")`.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "engine/base/error.h"

namespace cpaway {

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
};

using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string context) {
  return fail(make_error(code, std::move(context)));
}
[[nodiscard]] inline tl::unexpected<Error> fail_os(int os_errno, std::string context) {
  return fail(os_error(os_errno, std::move(context)));
}

// Drops a result; the reason is for the reader.
template <typename T>
void ignore(const Result<T>& /*result*/, const char* /*reason*/) {}

}  // namespace cpaway

#define CPAWAY_CONCAT_(a, b) a##b
#define CPAWAY_CONCAT(a, b) CPAWAY_CONCAT_(a, b)

// CPAWAY_TRY(expression): returns its error from the enclosing function, if it has one.
#define CPAWAY_TRY(expression)                               \
  do {                                                       \
    if (auto try_result_ = (expression); !try_result_) {     \
      return ::cpaway::fail(std::move(try_result_).error()); \
    }                                                        \
  } while (false)

// CPAWAY_ASSIGN(auto value, expression): the same, and binds the value.
#define CPAWAY_ASSIGN(declaration, expression)                                         \
  auto CPAWAY_CONCAT(assign_result_, __LINE__) = (expression);                         \
  if (!CPAWAY_CONCAT(assign_result_, __LINE__)) {                                      \
    return ::cpaway::fail(std::move(CPAWAY_CONCAT(assign_result_, __LINE__)).error()); \
  }                                                                                    \
  declaration = std::move(*CPAWAY_CONCAT(assign_result_, __LINE__))
