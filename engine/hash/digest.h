// SHA-256 (FIPS 180-4) through OpenSSL: the digest that decides whether a file is whole.
//
// Uses OpenSSL's direct SHA256_* calls, not EVP: fetching through EVP links the whole default
// provider into the static agent, four megabytes that every push would carry.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/bytes.h"

namespace cpaway::hash {

using Sha256Value = std::array<uint8_t, 32>;

// Not thread-safe; copyable, a copy goes on from the same state.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256& other);
  Sha256& operator=(const Sha256& other);
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(ByteSpan bytes);
  void update_zeros(uint64_t count);
  // The digest of all so far; the state is not changed, updates may follow.
  [[nodiscard]] Sha256Value value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] Sha256Value sha256(ByteSpan bytes);
[[nodiscard]] std::string to_hex(ByteSpan bytes);

}  // namespace cpaway::hash
