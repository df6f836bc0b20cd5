// SPDX-License-Identifier: Apache-2.0
// The experts of a token in one layer as a set of bits: overlaps become a few popcounts.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/routing.hpp"

namespace moesim::traces {

/// One set per token of one layer. Ids >= num_experts, such as padding, are left out.
class ExpertMasks {
 public:
  /// @param ids [token * slots]
  ExpertMasks(std::span<const ExpertIndex> ids, std::size_t slots, int num_experts)
      : words_((static_cast<std::size_t>(num_experts) + 63) / 64),
        bits_(ids.size() / slots * words_) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < num_experts) {
        bits_[i / slots * words_ + ids[i] / 64U] |= std::uint64_t{1} << (ids[i] % 64U);
      }
    }
  }

  /// Experts that tokens a and b both visit.
  [[nodiscard]] int shared(std::size_t a, std::size_t b) const {
    int count = 0;
    for (std::size_t word = 0; word < words_; ++word) {
      count += std::popcount(bits_[a * words_ + word] & bits_[b * words_ + word]);
    }
    return count;
  }

 private:
  std::size_t words_;
  std::vector<std::uint64_t> bits_;
};

}  // namespace moesim::traces
