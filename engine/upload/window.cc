#include "engine/upload/window.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/check.h"

namespace cpaway::upload {

namespace {

constexpr size_t kLeastSpare = 1UL << 20U;
constexpr size_t kLargestSpare = 2UL << 20U;
constexpr size_t kMaxSpare = 3;
constexpr uint64_t kLeastShare = 4096;

}  // namespace

bool Window::acquire(uint64_t size, Granted granted) {
  std::vector<Relieve> relieve;
  {
    const MutexLock lock(mutex_);
    if (waiters_.empty() && fits_locked(size)) {
      used_ += size;
      return true;
    }
    waiters_.push_back(Waiter{size, std::move(granted)});
    for (auto& [key, callback] : holders_) {
      relieve.push_back(callback);
    }
  }
  for (auto& callback : relieve) {
    callback();
  }
  return false;
}

void Window::take(uint64_t size) {
  const MutexLock lock(mutex_);
  used_ += size;
}

void Window::release(uint64_t size) {
  if (size == 0) {
    return;
  }
  std::vector<Granted> granted;
  {
    const MutexLock lock(mutex_);
    CHECK(size <= used_);
    used_ -= size;
    while (!waiters_.empty() && fits_locked(waiters_.front().size)) {
      used_ += waiters_.front().size;
      granted.push_back(std::move(waiters_.front().granted));
      waiters_.pop_front();
    }
  }
  for (auto& callback : granted) {
    callback();
  }
}

void Window::add_holder(const void* key, Relieve relieve) {
  bool waiting = false;
  {
    const MutexLock lock(mutex_);
    waiting = !waiters_.empty();
    if (!waiting) {
      holders_[key] = std::move(relieve);
      return;
    }
    holders_[key] = relieve;
  }
  relieve();  // somebody already waits for these bytes
}

void Window::remove_holder(const void* key) {
  const MutexLock lock(mutex_);
  holders_.erase(key);
}

void WindowBytes::settle() {
  if (bytes.size() <= bytes.capacity() / 2) {
    Bytes exact(bytes.begin(), bytes.end());
    window_.keep(std::exchange(bytes, std::move(exact)));
  }
  if (held_ < kLeastShare) {
    window_.take(kLeastShare - held_);
    held_ = kLeastShare;
  }
}

void WindowBytes::release_surplus() {
  if (held_ > bytes.size()) {
    window_.release(held_ - bytes.size());
    held_ = bytes.size();
  }
}

Bytes Window::spare(size_t capacity) {
  if (capacity >= kLeastSpare) {
    const MutexLock lock(mutex_);
    const auto found = std::find_if(spare_.rbegin(), spare_.rend(), [capacity](const Bytes& bytes) {
      return bytes.capacity() >= capacity;
    });
    if (found != spare_.rend()) {
      std::swap(*found, spare_.back());
      Bytes bytes = std::move(spare_.back());
      spare_.pop_back();
      return bytes;
    }
  }
  Bytes bytes;
  bytes.reserve(capacity);
  return bytes;
}

void Window::keep(Bytes used) {
  if (used.capacity() < kLeastSpare || used.capacity() > kLargestSpare) {
    return;
  }
  used.clear();
  const MutexLock lock(mutex_);
  if (spare_.size() < kMaxSpare) {
    spare_.push_back(std::move(used));
  }
}

uint64_t Window::used() const {
  const MutexLock lock(mutex_);
  return used_;
}

void WindowBytes::give_range(size_t offset, size_t size, WindowBytes& other) {
  CHECK(size <= held_);
  const auto from = bytes.begin() + static_cast<ptrdiff_t>(offset);
  other.bytes.assign(from, from + static_cast<ptrdiff_t>(size));
  other.held_ = size;
  held_ -= size;
}

void WindowBytes::move_rest(size_t size, WindowBytes& other) {
  other.bytes.assign(bytes.begin() + static_cast<ptrdiff_t>(size), bytes.end());
  bytes.resize(size);
  other.held_ = other.bytes.size();
  held_ -= other.held_;
}

}  // namespace cpaway::upload
