// SPDX-License-Identifier: Apache-2.0
// The queue of chunks in front of a link.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace moesim {

/// A chunk that waits for a link or is being served by it. All that the next hop needs is here, so
/// that a plain message costs no look at anything but the lines it stands in.
struct Waiting {
  double bytes = 0.0;
  std::uint32_t next_hop = 0;  ///< place of its next link in the paths, kNoHop: this is the last
  std::uint32_t id : 30 = 0;   ///< a flow, or, if is_long, one of the long messages
  std::uint32_t is_long : 1 = 0;
  std::uint32_t is_last : 1 = 0;  ///< chunk of its message
};
static_assert(sizeof(Waiting) == 16);

/// First in, first out, in one array that is reused round and round; it only ever grows.
/// Checked by: message_test.
class WaitingLine {
 public:
  [[nodiscard]] bool empty() const { return count_ == 0; }
  /// The i-th from the front; beyond the end any place of the array, for a prefetch.
  [[nodiscard]] const Waiting& operator[](std::uint32_t i) const {
    return ring_[(first_ + i) & (ring_.size() - 1)];
  }
  void push(const Waiting& chunk) {
    if (count_ == ring_.size()) {
      grow();
    }
    ring_[(first_ + count_) & (ring_.size() - 1)] = chunk;
    ++count_;
  }
  Waiting pop() {
    const Waiting chunk = ring_[first_];
    first_ = (first_ + 1) & (static_cast<std::uint32_t>(ring_.size()) - 1);
    --count_;
    return chunk;
  }

 private:
  void grow() {
    std::vector<Waiting> wider(ring_.empty() ? 4 : 2 * ring_.size());
    for (std::uint32_t i = 0; i < count_; ++i) {
      wider[i] = (*this)[i];
    }
    ring_.swap(wider);
    first_ = 0;
  }

  std::vector<Waiting> ring_;  ///< a power of two of them, or none
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace moesim
