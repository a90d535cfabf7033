#define OPENSSL_API_COMPAT \
  10100  // SHA256_* are deprecated since 3.0; the header says why we use them
#include "engine/hash/digest.h"

#include <openssl/sha.h>

#include <algorithm>

namespace cpaway::hash {

struct Sha256::State {
  SHA256_CTX context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  SHA256_Init(&state_->context);
}
Sha256::Sha256(const Sha256& other) : state_(std::make_unique<State>(*other.state_)) {}
Sha256& Sha256::operator=(const Sha256& other) {
  if (this != &other) {
    *this = Sha256(other);
  }
  return *this;
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(ByteSpan bytes) {
  SHA256_Update(&state_->context, bytes.data(), bytes.size());
}

void Sha256::update_zeros(uint64_t count) {
  static constexpr std::array<uint8_t, 64UL * 1024> kZeros{};
  while (count > 0) {
    const size_t n = std::min<uint64_t>(count, kZeros.size());
    update(ByteSpan(kZeros).first(n));
    count -= n;
  }
}

Sha256Value Sha256::value() const {
  SHA256_CTX copy = state_->context;
  Sha256Value out;
  SHA256_Final(out.data(), &copy);
  return out;
}

Sha256Value sha256(ByteSpan bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.value();
}

std::string to_hex(ByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 15U]);
  }
  return text;
}

}  // namespace cpaway::hash
